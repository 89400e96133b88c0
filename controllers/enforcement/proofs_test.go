// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcement

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

const spacing = 2 * time.Second

var began = time.Date(2026, time.November, 23, 12, 0, 0, 123, time.UTC)

var (
	full    = Proof{Reason: v1alpha1.ReasonProven}
	sampled = Proof{Reason: v1alpha1.ReasonProvenOnSampledServers}
	absent  = Proof{Reason: v1alpha1.ReasonEnforcementNotProven, Detail: "not yet"}
	blocked = Proof{Reason: v1alpha1.ReasonCanaryBlocked, Detail: "quota"}
)

// round is one answer of the canary and what is to be written and done next.
type round struct {
	proof Proof
	// at is when it comes, after the first.
	at   time.Duration
	want *v1alpha1.Epoch
	// next is when the next round is due, after the first.
	next time.Duration
}

func since(after time.Duration) *metav1.Time {
	instant := metav1.NewTime(began.Add(after).Truncate(time.Second))
	return &instant
}

func TestWhatTheRoundsOfTheCanaryProve(t *testing.T) {
	provenSince := func(reason string, after time.Duration) *v1alpha1.Epoch {
		return &v1alpha1.Epoch{Proof: reason, EnforcedSince: since(after)}
	}
	sampledRounds := func(start time.Duration) []round {
		var rounds []round
		for i := range samples - 1 {
			at := start + time.Duration(i)*spacing
			rounds = append(rounds, round{sampled, at, nil, at + spacing})
		}
		return append(rounds, round{sampled, start + 4*spacing, provenSince(sampled.Reason, start), start + 4*spacing + time.Hour})
	}
	tests := map[string][]round{
		"every server answered: proven at once, and again in an hour": {
			{full, 0, provenSince(full.Reason, 0), time.Hour}, {full, time.Hour, provenSince(full.Reason, time.Hour), 2 * time.Hour},
		},
		"samples: five in a row, since the first of them": sampledRounds(0),
		"samples: an hour later five again":               append(sampledRounds(0), sampledRounds(time.Hour+4*spacing)...),
		"not called yet: again soon": {
			{absent, 0, &v1alpha1.Epoch{Proof: absent.Reason, Detail: "not yet"}, retry}, {full, retry, provenSince(full.Reason, retry), retry + time.Hour},
		},
		"blocked: said, and again soon, each time after twice as long": {
			{blocked, 0, &v1alpha1.Epoch{Proof: blocked.Reason, Detail: "quota"}, retry}, {blocked, retry, &v1alpha1.Epoch{Proof: blocked.Reason, Detail: "quota"}, 3 * retry},
			{blocked, 3 * retry, &v1alpha1.Epoch{Proof: blocked.Reason, Detail: "quota"}, 7 * retry}, {full, 7 * retry, provenSince(full.Reason, 7*retry), 7*retry + time.Hour},
		},
		"a miss among the samples begins anew": append([]round{
			{sampled, 0, nil, spacing}, {sampled, spacing, nil, 2 * spacing}, {absent, 2 * spacing, &v1alpha1.Epoch{Proof: absent.Reason, Detail: "not yet"}, 2*spacing + retry},
		}, sampledRounds(2*spacing+retry)...),
	}
	for name, rounds := range tests {
		t.Run(name, func(t *testing.T) {
			var known proofs
			for i, round := range rounds {
				got, next := known.take("pathology", round.proof, began.Add(round.at), spacing)
				if diff := cmp.Diff(round.want, got); diff != "" {
					t.Errorf("round %d (-want +got):\n%s", i, diff)
				}
				if want := began.Add(round.next); !next.Equal(want) || !known.due("pathology").Equal(want) {
					t.Errorf("round %d: next %s, due %s, want %s", i, next, known.due("pathology"), want)
				}
			}
		})
	}
}

func TestNamespacesAreProvenEachForItself(t *testing.T) {
	var known proofs
	if !known.due("pathology").IsZero() {
		t.Error("a namespace that nobody has looked at is due later")
	}
	for range samples - 1 {
		known.take("pathology", sampled, began, spacing)
	}
	if epoch, _ := known.take("radiology", sampled, began, spacing); epoch != nil {
		t.Errorf("the samples of another namespace count: %+v", epoch)
	}
	known.forget("pathology")
	if epoch, _ := known.take("pathology", sampled, began, spacing); epoch != nil || known.due("radiology").IsZero() {
		t.Errorf("forgotten samples count: %+v", epoch)
	}
}

func TestProofsMayBeTakenAtTheSameTime(t *testing.T) {
	var known proofs
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			known.take("pathology", sampled, began, spacing)
			known.due("pathology")
			known.forget("radiology")
		})
	}
	group.Wait()
	if known.due("pathology").IsZero() {
		t.Error("nothing was noted")
	}
}

func TestWhatAnAPIServerSaidIsBounded(t *testing.T) {
	tests := map[string]string{
		"short": "no route to host", "long": strings.Repeat("x", 5000), "long, of characters with several bytes": strings.Repeat("ü€", 500),
		"shifted by one": "x" + strings.Repeat("ü", 500), "no text at all": "\xff\xfe",
	}
	for name, text := range tests {
		t.Run(name, func(t *testing.T) {
			got := shorten(text)
			if len(got) > 512 || !utf8.ValidString(got) || len(text) <= 400 && utf8.ValidString(text) && got != text {
				t.Errorf("%d bytes: %q", len(got), got)
			}
			if shorten(got) != got && len(got) <= 400 {
				t.Errorf("shortened again it differs: %q", shorten(got))
			}
		})
	}
}

func TestWhatTheAnswerToACanaryProves(t *testing.T) {
	const nonce = "0f8fad5b"
	text := posture.CanaryText(nonce)
	deny := func(message string) error {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "deployments"}, "lis", errors.New(message))
	}
	ours := deny(`admission webhook "templates.rollouts.labguard.dev" denied the request: ` + text)
	tests := map[string]struct {
		heard  []string
		answer error
		reason string
	}{
		"warning and refusal with the nonce prove it":                     {[]string{"something else", text}, ours, v1alpha1.ReasonProven},
		"a refusal by us without the warning does not":                    {nil, ours, v1alpha1.ReasonEnforcementNotProven},
		"a warning with the nonce and the refusal of somebody else block": {[]string{text}, deny("labels are missing"), v1alpha1.ReasonCanaryBlocked},
		"a refusal of somebody else blocks":                               {nil, deny("quota"), v1alpha1.ReasonCanaryBlocked},
		"a refusal that quotes the mark blocks":                           {nil, deny("annotation labguard.dev/hold=" + posture.CanaryMark(nonce)), v1alpha1.ReasonCanaryBlocked},
		"a warning of another round does not count":                       {[]string{posture.CanaryText("other")}, ours, v1alpha1.ReasonEnforcementNotProven},
		"a refusal of another round does not count":                       {[]string{text}, deny(posture.CanaryText("other")), v1alpha1.ReasonCanaryBlocked},
		"nobody refuses: it is not called":                                {nil, nil, v1alpha1.ReasonEnforcementNotProven},
		"a warning, and nobody refuses: only one of the two is called":    {[]string{text}, nil, v1alpha1.ReasonEnforcementNotProven},
		"the object is gone":                                              {nil, apierrors.NewNotFound(schema.GroupResource{Resource: "deployments"}, "lis"), v1alpha1.ReasonEnforcementNotProven},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			proof := judge(nonce, test.heard, test.answer)
			if proof.Reason != test.reason || (proof.Detail == "") != (test.reason == v1alpha1.ReasonProven) {
				t.Errorf("got %+v, want %s", proof, test.reason)
			}
			if strings.Contains(proof.Detail, nonce) {
				t.Errorf("the detail differs with every round: %s", proof.Detail)
			}
		})
	}
}

func TestAProofIsWithdrawnWhereTheGateDoesNotStand(t *testing.T) {
	notProven := &v1alpha1.Epoch{Proof: v1alpha1.ReasonEnforcementNotProven}
	tests := map[string]struct{ epoch, want *v1alpha1.Epoch }{
		"no epoch":          {nil, nil},
		"nothing was said":  {&v1alpha1.Epoch{}, nil},
		"withdrawn already": {notProven, nil},
		"proven":            {&v1alpha1.Epoch{Proof: v1alpha1.ReasonProven, EnforcedSince: since(0)}, notProven},
		"blocked":           {&v1alpha1.Epoch{Proof: v1alpha1.ReasonCanaryBlocked, Detail: "quota"}, notProven},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, withdrawn(test.epoch)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheNextLookIsExactlyTheEarliestInstant(t *testing.T) {
	var never time.Time
	tests := map[string]struct {
		instants []time.Time
		want     time.Duration
	}{
		"never":                 {[]time.Time{never, never}, 0},
		"the earliest":          {[]time.Time{began.Add(time.Hour), never, began.Add(time.Minute)}, time.Minute},
		"at once if it is past": {[]time.Time{began.Add(-time.Hour)}, time.Millisecond},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := exactly(began, test.instants...).RequeueAfter; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}
