// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
)

// Paths under which the two handlers are served.
const (
	MutatePath   = "/mutate-rollouts"
	ValidatePath = "/validate-rollouts"
)

// ephemeralContainers is the subresource of debug containers. They get a warning and no refusal.
const ephemeralContainers = "ephemeralcontainers"

// Facts knows images. Current answers at once from memory, and says whether that is exact: what a tag meant a while ago is not. Resolve waits until the
// facts are there or the context ends.
type Facts interface {
	Current(query posture.ImageQuery) (posture.ImageFacts, bool)
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
	// User is labguard's own user name. Its canaries are answered with their nonce, and only its writes release a hold.
	User string
	// Airlock is the image of the sidecar that labguard itself adds to pods; empty: it adds none.
	Airlock string
	// Platform is what the nodes of the cluster have in common, for pods that do not ask for a platform. Nil: nothing is known of it.
	Platform func() posture.Platform

	// waiting is how many requests wait for facts now.
	waiting atomic.Int64
}

// Mutating writes the admitted images of a root workload into its annotations, in the same write that admits them; it holds what is to be held, and
// gives back what labguard releases.
func (g *Gate) Mutating() admission.Handler {
	return admission.HandlerFunc(func(ctx context.Context, request admission.Request) admission.Response {
		answer, err := g.ask(ctx, &request, g.await)
		switch {
		case err != nil:
			return admission.Errored(http.StatusInternalServerError, err)
		case answer.nonce != "":
			return admission.Allowed("").WithWarnings(posture.CanaryText(answer.nonce))
		case !answer.decision.Allowed:
			return admission.Allowed("") // the validating webhook refuses
		case answer.mustHold(), answer.releases:
			return answer.patchHold()
		case len(answer.decision.Admit) == 0:
			return admission.Allowed("")
		}
		return patchAnnotations(answer)
	})
}

// Validating refuses what may not roll out. It is the one that decides, since others may rewrite images after our mutation.
func (g *Gate) Validating() admission.Handler {
	return admission.HandlerFunc(func(ctx context.Context, request admission.Request) admission.Response {
		gather := g.recall
		if request.SubResource == ephemeralContainers { // no mutating webhook has waited for it
			gather = g.await
		}
		answer, err := g.ask(ctx, &request, gather)
		if err != nil {
			return admission.Errored(http.StatusInternalServerError, err)
		}
		if answer.nonce != "" {
			return admission.Denied(posture.CanaryText(answer.nonce))
		}
		response, decision := answer.verdict()
		metrics.AdmissionDecisions.WithLabelValues(decision).Inc()
		return response
	})
}
