// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/template"
)

// Paths under which the two handlers are served.
const (
	MutatePath   = "/mutate-rollouts"
	ValidatePath = "/validate-rollouts"
)

// ephemeralContainers is the subresource of debug containers. They get a warning and no refusal.
const ephemeralContainers = "ephemeralcontainers"

// Facts knows images. Lookup answers at once from memory; Resolve waits until the facts are there or the context ends.
type Facts interface {
	Lookup(query posture.ImageQuery) (posture.ImageFacts, bool)
	Resolve(ctx context.Context, query posture.ImageQuery) posture.ImageFacts
}

// Gate is what both webhooks share.
type Gate struct {
	// Reader reads LabWorkloads and RolloutRecords from caches. What it gives is only read, so nothing is copied.
	Reader client.Reader
	Facts  Facts
	Clock  clock.PassiveClock
	// Wait bounds how long one mutating request waits for all facts that are not known yet; the validating one waits for debug containers alone.
	Wait time.Duration
	// User is labguard's own user name. Its canaries are answered with their nonce.
	User string
}

// Mutating writes the admitted images of a root workload into its annotations, in the same write that admits them.
func (g *Gate) Mutating() admission.Handler {
	return admission.HandlerFunc(func(ctx context.Context, request admission.Request) admission.Response {
		waiting, cancel := context.WithTimeout(ctx, g.Wait)
		defer cancel()
		answer, err := g.ask(ctx, &request, func(query posture.ImageQuery) posture.ImageFacts { return g.Facts.Resolve(waiting, query) })
		switch {
		case err != nil:
			return admission.Errored(http.StatusInternalServerError, err)
		case answer.nonce != "":
			return admission.Allowed("").WithWarnings(posture.CanaryText(answer.nonce))
		case !answer.decision.Allowed || len(answer.decision.Admit) == 0:
			return admission.Allowed("") // the validating webhook refuses
		}
		return patchAnnotations(answer)
	})
}

// Validating refuses what may not roll out. It is the one that decides, since others may rewrite images after our mutation.
func (g *Gate) Validating() admission.Handler {
	return admission.HandlerFunc(func(ctx context.Context, request admission.Request) admission.Response {
		waiting, cancel := context.WithTimeout(ctx, g.Wait)
		defer cancel()
		answer, err := g.ask(ctx, &request, func(query posture.ImageQuery) posture.ImageFacts {
			if request.SubResource == ephemeralContainers { // no mutating webhook has waited for it
				return g.Facts.Resolve(waiting, query)
			}
			facts, _ := g.Facts.Lookup(query)
			return facts
		})
		if err != nil {
			return admission.Errored(http.StatusInternalServerError, err)
		}
		if answer.nonce != "" {
			return admission.Denied(posture.CanaryText(answer.nonce))
		}
		response := g.verdict(&request, answer)
		metrics.AdmissionDecisions.WithLabelValues(outcomeLabel(response.Allowed, answer)).Inc()
		return response
	})
}

func (g *Gate) verdict(request *admission.Request, answer *answer) admission.Response {
	if request.SubResource == ephemeralContainers {
		return admission.Allowed("").WithWarnings(slices.Concat(answer.decision.Warnings, answer.decision.Refusals)...)
	}
	if !answer.decision.Allowed {
		return admission.Denied(strings.Join(answer.decision.Refusals, "\n")).WithWarnings(answer.decision.Warnings...)
	}
	for _, image := range answer.decision.Admit {
		if !ledger.Carries(answer.root.Annotations, image.Reference) {
			return admission.Denied(fmt.Sprintf(
				"labguard: image %s came in, or became known, after labguard looked at this request: send it again", image.Reference))
		}
	}
	return admission.Allowed("").WithWarnings(answer.decision.Warnings...)
}

// answer is what posture says about one request, with what it was asked about.
type answer struct {
	nonce    string
	root     *template.Root
	earlier  []string
	set      ledger.Set
	decision posture.RolloutDecision
}

func (g *Gate) ask(ctx context.Context, request *admission.Request, facts func(posture.ImageQuery) posture.ImageFacts) (*answer, error) {
	root, old, err := decode(request)
	if err != nil {
		return nil, err
	}
	if nonce, found := g.canary(request, root); found {
		return &answer{nonce: nonce}, nil
	}
	governing, err := g.governing(ctx, request.Namespace, root, old)
	if err != nil {
		return nil, err
	}
	result := &answer{root: root}
	if len(governing) == 0 {
		result.decision = posture.DecideRollout(posture.RolloutQuestion{})
		return result, nil
	}
	var records v1alpha1.RolloutRecordList
	if err := g.Reader.List(ctx, &records, client.InNamespace(request.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("list rollout records of namespace %s: %w", request.Namespace, err)
	}
	question := posture.RolloutQuestion{Governing: governing, Images: root.Template.Images, Now: g.Clock.Now()}
	var earlier map[string]string
	if old != nil {
		earlier = old.Annotations
		question.Running = old.Template.References()
	}
	result.earlier = ledger.References(earlier)
	result.set = ledger.NewSet(earlier, recordNames(root), records.Items)
	question.Admitted = result.set.Admitted
	question.LastAdmitted = lastAdmitted(root, old, result.set)
	question.Facts = gather(root, request.Namespace, &question, facts)
	result.decision = posture.DecideRollout(question)
	return result, nil
}

// lastAdmitted is the image to go back to: what the object declares now comes before what it ran earlier.
func lastAdmitted(root, old *template.Root, set ledger.Set) string {
	brought := root.Template.References()
	if old != nil {
		for _, reference := range old.Template.References() {
			if _, admitted := set.Admitted(reference); admitted && !slices.Contains(brought, reference) {
				return reference
			}
		}
	}
	return set.Last(brought)
}

// gather asks for the facts about every image that the decision will look at, all at once.
func gather(root *template.Root, namespace string, question *posture.RolloutQuestion, facts func(posture.ImageQuery) posture.ImageFacts) func(string) posture.ImageFacts {
	var wanted []string
	for _, reference := range root.Template.References() {
		if _, admitted := question.Admitted(reference); !admitted && !slices.Contains(question.Running, reference) {
			wanted = append(wanted, reference)
		}
	}
	found := make([]posture.ImageFacts, len(wanted))
	done := make(chan struct{}, len(wanted))
	for i, reference := range wanted {
		go func() {
			found[i] = facts(root.Template.Query(namespace, reference))
			done <- struct{}{}
		}()
	}
	for range wanted {
		<-done
	}
	return func(reference string) posture.ImageFacts {
		if i := slices.Index(wanted, reference); i >= 0 {
			return found[i]
		}
		return posture.ImageFacts{}
	}
}

func outcomeLabel(allowed bool, answer *answer) string {
	switch {
	case !allowed:
		return "denied"
	case len(answer.decision.Warnings) > 0:
		return "warned"
	default:
		return "allowed"
	}
}

// hasOld says whether the request carries the object as it was.
func hasOld(request *admission.Request) bool {
	return request.Operation == admissionv1.Update && len(request.OldObject.Raw) > 0
}
