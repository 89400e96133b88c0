// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
)

func claimsSeenAt(t *testing.T, a *api, name string) *metav1.Time {
	t.Helper()
	var p v1alpha1.IdentityProvider
	if err := a.Get(t.Context(), client.ObjectKey{Name: name}, &p); err != nil {
		t.Fatal(err)
	}
	return p.Status.ClaimsSeenAt
}

func TestAProofIsNotedToTheHourAndOnceAnHour(t *testing.T) {
	t.Parallel()
	a := apiWith(t, provider("lab", issuer))
	p := NewProofs(a, a, testclock.NewFakeClock(noon))
	note := func(at time.Time) {
		t.Helper()
		if err := p.note(t.Context(), issuer, sighting{at: at, generation: 1}); err != nil {
			t.Fatal(err)
		}
	}
	note(noon)
	if got := claimsSeenAt(t, a, "lab"); !got.Time.Equal(noon.Truncate(time.Hour)) {
		t.Errorf("noted %s", got)
	}
	note(noon.Add(29 * time.Minute))
	if len(a.written()) != 1 {
		t.Errorf("within the hour it is written again: %v", a.written())
	}
	note(noon.Add(30 * time.Minute))
	if got := claimsSeenAt(t, a, "lab"); len(a.written()) != 2 || !got.Time.Equal(noon.Add(30*time.Minute)) {
		t.Errorf("in the next hour: %v, noted %s", a.written(), got)
	}
	note(noon) // a replica whose clock is behind
	if got := claimsSeenAt(t, a, "lab"); len(a.written()) != 2 || !got.Time.Equal(noon.Add(30*time.Minute)) {
		t.Errorf("time goes back to %s", got)
	}
}

func TestAProofOfAnIssuerThatIsNotKnownIsNotNoted(t *testing.T) {
	t.Parallel()
	a := apiWith(t, provider("lab", issuer), provider("twin", issuer), provider("slash", issuer+"/"))
	p := NewProofs(a, a, testclock.NewFakeClock(noon))
	for _, of := range []string{issuer, "https://elsewhere.example"} {
		if err := p.note(t.Context(), of, sighting{at: noon, generation: 1}); err != nil || len(a.written()) != 0 {
			t.Errorf("%s: %v, %v", of, a.written(), err)
		}
	}
	if err := p.note(t.Context(), issuer+"/", sighting{at: noon, generation: 1}); err != nil || claimsSeenAt(t, a, "slash") == nil || len(a.written()) != 1 {
		t.Errorf("%v, %v", a.written(), err)
	}
}

// TestAProofIsOfWhatTheProviderSaidThen: what was seen before the object came to prove something else says nothing about that. An object that comes back under its name begins anew.
func TestAProofIsOfWhatTheProviderSaidThen(t *testing.T) {
	t.Parallel()
	a := apiWith(t, provider("lab", issuer))
	p := NewProofs(a, a, testclock.NewFakeClock(noon))
	for _, generation := range []int64{0, 2, 7} {
		if err := p.note(t.Context(), issuer, sighting{at: noon, generation: generation}); err != nil || len(a.written()) != 0 {
			t.Errorf("generation %d: %v, %v", generation, a.written(), err)
		}
	}
	p.Seen(issuer, 7, noon)
	p.Seen(issuer, 1, noon.Add(time.Second))
	p.work(t.Context(), issuer)
	if claimsSeenAt(t, a, "lab") == nil {
		t.Error("what was seen of the object that is there now is not noted")
	}
}

func TestSeenNeitherBlocksNorLooksForEachRequest(t *testing.T) {
	t.Parallel()
	p := NewProofs(nil, nil, testclock.NewFakeClock(noon)) // nobody takes anything out of the queue
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for second := range 59 {
				p.Seen(issuer, 1, noon.Add(time.Duration(second)*time.Second))
				p.Seen(fmt.Sprintf("https://%d.example", i), 1, noon)
			}
		})
	}
	all.Wait()
	if got := p.queue.Len(); got != 9 {
		t.Errorf("%d issuers wait, want 9", got)
	}
	for i := range 2 * maxIssuers {
		p.Seen(fmt.Sprintf("https://many-%d.example", i), 1, noon)
	}
	if len(p.seen) != maxIssuers || p.queue.Len() != maxIssuers {
		t.Errorf("%d are remembered and %d wait, want %d", len(p.seen), p.queue.Len(), maxIssuers)
	}
}

func TestAProofThatCannotBeNotedIsTriedAgainUntilItIs(t *testing.T) {
	t.Parallel()
	clock := testclock.NewFakeClock(noon)
	a := apiWith(t, provider("lab", issuer))
	a.refuse = []error{errors.New("a hitch"), errors.New("another")}
	p := NewProofs(a, a, clock)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- p.Start(ctx) }()
	p.Seen(issuer, 1, noon)
	eventually(t, clock, func() bool { return claimsSeenAt(t, a, "lab") != nil })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// eventually waits for something that other goroutines do, while the clock goes on.
func eventually(t *testing.T, clock *testclock.FakeClock, what func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !what() {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
		clock.Step(time.Second)
		select {
		case <-time.After(2 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}
