// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/rollout"
	"github.com/labguard/labguard/internal/posture/template"
)

// answer is what posture says about one request, with what it was asked about.
type answer struct {
	request  *admission.Request
	nonce    string
	root     *template.Root
	old      *template.Root
	set      ledger.Set
	decision posture.RolloutDecision
	// releases says that the write is labguard's own, and takes the marker of a hold off.
	releases bool
}

func (g *Gate) ask(ctx context.Context, request *admission.Request, gather gatherer) (*answer, error) {
	root, old, err := decode(request)
	if err != nil {
		return nil, err
	}
	root.LeaveOutAirlock(g.Airlock)
	if old != nil {
		old.LeaveOutAirlock(g.Airlock)
	}
	result := &answer{request: request, root: root, old: old}
	if nonce, found := g.canary(request, root); found {
		result.nonce = nonce
		return result, nil
	}
	result.releases = result.wasHeld() && !hold.Marked(root.Annotations) && request.UserInfo.Username == g.User
	namespace, err := viewOf(ctx, g.Reader, request.Namespace)
	if err != nil {
		return nil, err
	}
	write := &rollout.Write{Namespace: namespace, Root: root, Old: old, Now: g.Clock.Now()}
	governing := write.Governing()
	if len(governing) == 0 {
		result.decision = posture.DecideRollout(posture.RolloutQuestion{})
		return result, nil
	}
	result.decide(ctx, g, write, governing, gather)
	return result, nil
}

func (a *answer) decide(ctx context.Context, g *Gate, write *rollout.Write, governing []posture.Governing, gather gatherer) {
	a.set = write.Admitted()
	question := write.Question(governing, a.set)
	question.CannotHold = a.cannotHold
	if wanted := write.Unknown(&question); len(wanted) > 0 {
		if g.Platform != nil && a.root.Template.Platform == (posture.Platform{}) {
			write.Platform = g.Platform()
			wanted = write.Unknown(&question)
		}
		facts, known := gather(ctx, wanted)
		question.Facts = func(reference string) posture.ImageFacts {
			at := slices.IndexFunc(wanted, func(query posture.ImageQuery) bool { return query.Reference == reference })
			if at < 0 {
				return posture.ImageFacts{}
			}
			return facts[at]
		}
		question.Admitted = a.admittedInThisRequest(wanted, known)
		question.Fresher = a.fresher(g, write, question.Facts)
	}
	a.decision = posture.DecideRollout(question)
}

// fresher looks whether the tag of a reference that names a digest too means a fresher build by now, as far as that is known.
func (a *answer) fresher(g *Gate, write *rollout.Write, facts func(string) posture.ImageFacts) func(string) string {
	return func(reference string) string {
		tagged, found := posture.Tagged(reference)
		if !found || tagged == reference {
			return ""
		}
		tag, _ := g.Facts.Current(write.Query(tagged))
		if digest := posture.Fresher(facts(reference), tag, write.Now); digest != posture.FresherNone {
			return digest
		}
		return ""
	}
}

// admittedInThisRequest adds to the set what labguard's mutating webhook, maybe of another replica, has written into the object of this very request, for images
// that this replica knows nothing of yet. Nobody else can have written it: what a user sends is healed before any webhook is called.
func (a *answer) admittedInThisRequest(wanted []posture.ImageQuery, known []bool) func(string) (v1alpha1.AdmissionReason, bool) {
	if !slices.Contains(known, false) {
		return a.set.Admitted
	}
	unknown := map[string]bool{}
	for i := range wanted {
		unknown[wanted[i].Reference] = !known[i]
	}
	written := ledger.Admissions(a.root.Annotations)
	return func(reference string) (v1alpha1.AdmissionReason, bool) {
		if reason, found := a.set.Admitted(reference); found || !unknown[reference] {
			return reason, found
		}
		at := slices.IndexFunc(written, func(image v1alpha1.AdmittedImage) bool { return image.Reference == reference })
		if at < 0 {
			return "", false
		}
		return written[at].Reason, true
	}
}

// verdict is the answer of the validating webhook, and the word for it in metrics.
func (a *answer) verdict() (admission.Response, string) {
	warnings := slices.Concat(a.decision.Warnings, a.decision.Holds)
	switch {
	case a.request.SubResource == ephemeralContainers:
		warnings = slices.Concat(warnings, a.decision.Refusals)
		return admission.Allowed("").WithWarnings(warnings...), wordFor(warnings)
	case !a.decision.Allowed:
		return admission.Denied(strings.Join(a.decision.Refusals, "\n")).WithWarnings(a.decision.Warnings...), "denied"
	case a.mustHold(), hold.Marked(a.root.Annotations):
		if problem := a.notHeld(); problem != "" {
			return admission.Denied(problem).WithWarnings(warnings...), "denied"
		}
		return admission.Allowed("").WithWarnings(append(warnings, a.heldText())...), "held"
	}
	carried := ledger.References(a.root.Annotations)
	for _, image := range a.decision.Admit {
		if !slices.Contains(carried, image.Reference) && !ledger.Carries(a.root.Annotations, image.Reference) {
			return admission.Denied(fmt.Sprintf(
				"labguard: image %s came in, or became known, after labguard looked at this request: send it again", image.Reference)), "denied"
		}
	}
	return admission.Allowed("").WithWarnings(warnings...), wordFor(warnings)
}

func wordFor(warnings []string) string {
	if len(warnings) > 0 {
		return "warned"
	}
	return "allowed"
}

// hasOld says whether the request carries the object as it was.
func hasOld(request *admission.Request) bool {
	return request.Operation == admissionv1.Update && len(request.OldObject.Raw) > 0
}
