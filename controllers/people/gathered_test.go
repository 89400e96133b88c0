// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// Whenever writes come and whichever of them fail, what is recorded in the end is what one write of everything would have recorded.
func TestPropertyNothingThatWasUsedIsLostOrCountedTwice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		a := apiWith(t)
		u, at := usesOf(a, &told{}), place{"pathology", night}
		var want gathered
		for range rapid.IntRange(1, 30).Draw(r, "steps") {
			switch rapid.SampledFrom([]string{"use", "use", "use", "write", "fail"}).Draw(r, "step") {
			case "use":
				request := exec(noon.Add(time.Duration(rapid.IntRange(0, 3600).Draw(r, "second")) * time.Second))
				want = want.and(one(request))
				u.Used(at.namespace, at.user, request)
			case "write":
				u.work(t.Context(), at)
			case "fail":
				a.refuse = []error{errors.New("a hitch")}
				u.work(t.Context(), at)
				a.refuse = nil
			}
		}
		u.work(t.Context(), at)
		uses := recorded(t, a, at.namespace)
		if want.count == 0 {
			if len(uses) != 0 {
				r.Fatalf("nothing was used, and %+v is recorded", uses)
			}
			return
		}
		if len(uses) != 1 || uses[0].Spec.Count != want.count || !uses[0].Spec.Last.Time.Equal(want.last) {
			r.Fatalf("recorded is %+v, want %+v", uses, want)
		}
		for i := range uses[0].Spec.Requests { // the zone is that of whoever reads
			uses[0].Spec.Requests[i].At.Time = uses[0].Spec.Requests[i].At.UTC()
		}
		if diff := cmp.Diff(want.requests, uses[0].Spec.Requests); diff != "" {
			r.Fatalf("-want +got:\n%s", diff)
		}
		if first := uses[0].Spec.First.Time; first.After(want.requests[0].At.Time) {
			r.Fatalf("it begins at %s, after its first request", first)
		}
	})
}
