// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"fmt"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture/access"
)

// answered puts an answer into the words of the API server.
func answered(ctx context.Context, answer access.Answer) admission.Response {
	decision := answer.Annotations[access.AnnotationDecision]
	metrics.AccessDecisions.WithLabelValues(decision, string(answer.Reason)).Inc()
	response := observed(ctx)
	response.Allowed, response.AuditAnnotations, response.Warnings = answer.Allowed, answer.Annotations, answer.Warnings
	if !answer.Allowed {
		response.Result = &metav1.Status{Code: http.StatusForbidden, Reason: metav1.StatusReasonForbidden, Message: answer.Message}
	}
	return response
}

// observed lets a request through that nobody has decided about.
func observed(ctx context.Context) admission.Response {
	given(ctx)
	return admission.Allowed("")
}

// unanswered says why there is no answer. Hook makes a failed call of it.
func unanswered(cause error) admission.Response {
	metrics.AccessDecisions.WithLabelValues("failed", string(access.ReasonNotConfigured)).Inc()
	return admission.Errored(http.StatusServiceUnavailable, fmt.Errorf("labguard does not know yet what this cluster asks for, try again in a moment: %w", cause))
}

// hookKey is the key under which Hook lets a handler say that it has an answer.
type hookKey struct{}

// given says to Hook that there is an answer.
func given(ctx context.Context) {
	if there, hooked := ctx.Value(hookKey{}).(*bool); hooked {
		*there = true
	}
}

// Hook serves a webhook with one of the handlers of this package. Where the handler has no answer, has panicked, or was not even asked since the request
// could not be read, the call fails. A refusal would hold under failurePolicy: Ignore as well, and nobody whose namespace is at Audit, and nobody in an
// emergency, may be refused because labguard does not work. The handler gets requests without their objects.
func Hook(webhook http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		there := false
		r = r.WithContext(context.WithValue(r.Context(), hookKey{}, &there))
		if r.Body != nil {
			r.Body = withoutObjects(r.Body, r.ContentLength)
		}
		webhook.ServeHTTP(&failing{ResponseWriter: w, given: &there}, r)
	})
}

// failing writes an error of its own instead of what it is given, until there is an answer.
type failing struct {
	http.ResponseWriter
	given  *bool
	failed bool
}

// Write implements io.Writer.
func (f *failing) Write(body []byte) (int, error) {
	if *f.given {
		written, err := f.ResponseWriter.Write(body)
		if err != nil {
			return written, fmt.Errorf("answer the API server: %w", err)
		}
		return written, nil
	}
	if f.failed {
		return len(body), nil
	}
	f.failed = true
	http.Error(f.ResponseWriter, "labguard cannot answer at this moment", http.StatusServiceUnavailable)
	return len(body), nil
}
