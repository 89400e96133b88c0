// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// answers is a usage that says what the test says.
type answers struct {
	used, live       bool
	failed, liveFail error
}

func (a answers) InUse(context.Context, *v1alpha1.ImageRecord) (bool, error) { return a.used, a.failed }

func (a answers) InUseLive(context.Context, *v1alpha1.ImageRecord) (bool, error) {
	return a.live, a.liveFail
}

func unusedFor(record *v1alpha1.ImageRecord, now time.Time, long time.Duration) *v1alpha1.ImageRecord {
	record.Status.UnusedSince = stamp(now.Add(-long))
	return record
}

var request = ctrl.Request{NamespacedName: client.ObjectKey{Name: v1alpha1.ImageRecordName(digest(1))}}

func TestARecordIsKeptWhileItIsUsedAndThirtyDaysLonger(t *testing.T) {
	now := start.Add(24 * time.Hour)
	old := func() *v1alpha1.ImageRecord { return recordOf(t, lis()) }
	for name, test := range map[string]struct {
		record  *v1alpha1.ImageRecord
		usage   answers
		gone    bool
		unused  time.Duration // how long before now; negative: used
		nextMin time.Duration
		nextMax time.Duration
	}{
		"in use":                                  {old(), answers{used: true}, false, -1, 6 * time.Hour, 6 * time.Hour},
		"in use again":                            {unusedFor(old(), now, 29*24*time.Hour), answers{used: true}, false, -1, 6 * time.Hour, 6 * time.Hour},
		"unused from now on":                      {old(), answers{}, false, 0, 6 * time.Hour, 6 * time.Hour},
		"unused for a while":                      {unusedFor(old(), now, 48*time.Hour), answers{}, false, 48 * time.Hour, 6 * time.Hour, 6 * time.Hour},
		"unused for nearly thirty days":           {unusedFor(old(), now, Retention-time.Hour), answers{}, false, Retention - time.Hour, time.Hour, time.Hour},
		"unused for thirty days less one second":  {unusedFor(old(), now, Retention-time.Second), answers{}, false, Retention - time.Second, time.Second, time.Second},
		"unused for thirty days":                  {unusedFor(old(), now, Retention), answers{}, true, 0, 0, 0},
		"unused by the caches alone":              {unusedFor(old(), now, Retention), answers{live: true}, false, Retention, time.Minute, time.Minute},
		"used by the caches, unused for so long":  {unusedFor(old(), now, 2*Retention), answers{used: true}, false, -1, 6 * time.Hour, 6 * time.Hour},
		"new, and nothing refers to it yet":       {recordOf(t, with(lis(), func(c *posture.Content) { c.FirstSeen = now.Add(-10 * time.Minute) })), answers{}, false, -1, 50 * time.Minute, 50 * time.Minute},
		"first seen by a clock that runs fast":    {recordOf(t, with(lis(), func(c *posture.Content) { c.FirstSeen = now.AddDate(1, 0, 0) })), answers{}, false, -1, time.Hour, time.Hour},
		"new for the clock, and noted as unused ": {unusedFor(recordOf(t, with(lis(), func(c *posture.Content) { c.FirstSeen = now })), now, Retention), answers{}, true, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			c := newFake(t, test.record)
			r := &Reconciler{Client: c, Usage: test.usage, Clock: testclock.NewFakeClock(now), Random: func() float64 { return 0.5 }}
			result, err := r.Reconcile(t.Context(), request)
			if err != nil || result.RequeueAfter < test.nextMin || result.RequeueAfter > test.nextMax {
				t.Errorf("%v, %v, want a look in %v to %v", result, err, test.nextMin, test.nextMax)
			}
			got := &v1alpha1.ImageRecord{}
			if err := c.Get(t.Context(), request.NamespacedName, got); client.IgnoreNotFound(err) != nil || (err != nil) != test.gone {
				t.Fatalf("gone: %v, want %t", err, test.gone)
			}
			want := stamp(now.Add(-test.unused))
			if test.unused < 0 || test.gone {
				want = nil
			}
			if !got.Status.UnusedSince.Equal(want) {
				t.Errorf("unused since %v, want %v", got.Status.UnusedSince, want)
			}
			after := got.ResourceVersion
			if _, err := r.Reconcile(t.Context(), request); err != nil {
				t.Fatal(err)
			}
			if err := c.Get(t.Context(), request.NamespacedName, got); client.IgnoreNotFound(err) != nil || got.ResourceVersion != after {
				t.Errorf("a second look writes: %v", err)
			}
		})
	}
}

func TestARecordThatSomebodyDeletesIsLeftAlone(t *testing.T) {
	record := unusedFor(recordOf(t, lis()), start, 2*Retention)
	record.Finalizers = []string{"somebody.example/finalizer"}
	c := newFake(t, record)
	if err := c.Delete(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	r := &Reconciler{Client: c, Usage: answers{failed: errors.New("was asked")}, Clock: testclock.NewFakeClock(start), Random: func() float64 { return 0 }}
	if result, err := r.Reconcile(t.Context(), request); err != nil || result != (ctrl.Result{}) {
		t.Errorf("%v, %v", result, err)
	}
}

func TestWhatFailsIsSaidAndTriedAgain(t *testing.T) {
	broken := errors.New("broken")
	now := start.Add(24 * time.Hour)
	for name, test := range map[string]struct {
		funcs  interceptor.Funcs
		usage  answers
		unused time.Duration
		says   string
	}{
		"reading": {interceptor.Funcs{Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return broken
		}}, answers{}, 0, "get image record sha256-"},
		"asking the caches":         {interceptor.Funcs{}, answers{failed: broken}, 0, "broken"},
		"asking the API server":     {interceptor.Funcs{}, answers{liveFail: broken}, Retention, "broken"},
		"noting that it is unused ": {interceptor.Funcs{SubResourceUpdate: refuseStatus(broken)}, answers{}, 0, "note whether image record sha256-"},
		"deleting": {interceptor.Funcs{Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
			return broken
		}}, answers{}, Retention, "delete image record sha256-"},
	} {
		t.Run(name, func(t *testing.T) {
			record := recordOf(t, lis())
			if test.unused > 0 {
				unusedFor(record, now, test.unused)
			}
			r := &Reconciler{
				Client: interceptor.NewClient(newFake(t, record), test.funcs), Usage: test.usage, Clock: testclock.NewFakeClock(now), Random: func() float64 { return 0 },
			}
			if _, err := r.Reconcile(t.Context(), request); !errors.Is(err, broken) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want an error that says %q", err, test.says)
			}
		})
	}
}

func refuseStatus(err error) func(context.Context, client.Client, string, client.Object, ...client.SubResourceUpdateOption) error {
	return func(context.Context, client.Client, string, client.Object, ...client.SubResourceUpdateOption) error {
		return err
	}
}

func TestTheAPIServerIsAskedOncePerMinuteForAllRecords(t *testing.T) {
	asked := 0
	referring := &v1alpha1.RolloutRecord{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "deployment-lis"},
		Spec:       v1alpha1.RolloutRecordSpec{Admitted: []v1alpha1.AdmittedImage{{Reference: "r.example/lis:1", Digest: digest(9)}}},
	}
	live := interceptor.NewClient(newFake(t, referring), interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			asked++
			return c.List(ctx, list, options...)
		},
	})
	index := lisIndex()
	passive := testclock.NewFakeClock(start)
	usage := &Indexed{Reader: newFake(t, recordOf(t, index), recordOf(t, lis())), Live: live, Clock: passive}
	for name, test := range map[string]struct {
		content posture.Content
		want    bool
	}{
		"the index that is admitted":    {index, true},
		"an image that the index lists": {lis(), true},
		"another image":                 {with(lis(), func(c *posture.Content) { c.Digest, c.ConfigDigest = digest(50), digest(51) }), false},
		"another image of that config":  {with(lis(), func(c *posture.Content) { c.Digest, c.ConfigDigest = digest(50), digest(9) }), true},
	} {
		if got, err := usage.InUseLive(t.Context(), recordOf(t, test.content)); err != nil || got != test.want {
			t.Errorf("%s: in use: %t, %v", name, got, err)
		}
	}
	if asked != 2 {
		t.Errorf("%d lists for four questions, want one for each kind", asked)
	}
	passive.Step(liveFor)
	if _, err := usage.InUseLive(t.Context(), recordOf(t, index)); err != nil || asked != 4 {
		t.Errorf("a minute later: %d lists, %v", asked, err)
	}
}

func TestPagesOfTheAPIServerAreReadToTheLast(t *testing.T) {
	page := 0
	live := interceptor.NewClient(newFake(t), interceptor.Funcs{
		List: func(_ context.Context, _ client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
			records, isRecords := list.(*v1alpha1.RolloutRecordList)
			if !isRecords {
				return nil
			}
			want := []string{"", "second", "third"}[page]
			if asked := (&client.ListOptions{}).ApplyOptions(options); asked.Continue != want {
				t.Errorf("page %d is asked for as %q", page, asked.Continue)
			}
			records.Items = []v1alpha1.RolloutRecord{{Spec: v1alpha1.RolloutRecordSpec{Admitted: []v1alpha1.AdmittedImage{{Digest: digest(page)}}}}}
			records.Continue = []string{"second", "third", ""}[page]
			page++
			return nil
		},
	})
	digests, err := liveDigests(t.Context(), live)
	if err != nil || len(digests) != 3 || !digests[digest(2)] {
		t.Errorf("%v, %v", digests, err)
	}
}

func TestAnIndexInAnIndexIsFollowedAndACircleEnds(t *testing.T) {
	nested := func(number, lists int) client.Object {
		return recordOf(t, posture.Content{
			Digest: digest(number), Reference: "r.example/lis:1", FirstSeen: start, IsIndex: true, Images: []posture.IndexedImage{{Digest: digest(lists)}},
		})
	}
	pod := &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis"}}
	pod.Status.Images = []v1alpha1.ImageStatus{{Reference: "r.example/lis:1", Digest: digest(20)}}
	for name, test := range map[string]struct {
		objects []client.Object
		want    bool
	}{
		"by an index of an index":                 {[]client.Object{pod, nested(20, 21), nested(21, 1)}, true},
		"by an index of an index of an index":     {[]client.Object{pod, nested(20, 21), nested(21, 22), nested(22, 1)}, true},
		"deeper than anybody follows":             {[]client.Object{pod, nested(20, 21), nested(21, 22), nested(22, 23), nested(23, 1)}, false},
		"by indexes that list each other":         {[]client.Object{nested(21, 22), nested(22, 21), nested(23, 1)}, false},
		"by an index in use that lists something": {[]client.Object{pod, nested(20, 2)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			usage := &Indexed{Reader: newFake(t, test.objects...)}
			if got, err := usage.InUse(t.Context(), recordOf(t, with(lis(), func(c *posture.Content) { c.ConfigDigest = "" }))); err != nil || got != test.want {
				t.Errorf("in use: %t, %v", got, err)
			}
		})
	}
}

func TestIndexesThatListEachOtherManyTimesAreLookedAtOnce(t *testing.T) {
	const wide = 10 // as many indexes on each of three levels, each of which lists all of the level below
	var objects []client.Object
	below := []posture.IndexedImage{{Digest: lis().Digest}}
	for level := range 3 {
		var these []posture.IndexedImage
		for i := range wide {
			one := digest(100 + level*wide + i)
			objects = append(objects, recordOf(t, posture.Content{Digest: one, Reference: "r.example/lis:1", FirstSeen: start, IsIndex: true, Images: below}))
			these = append(these, posture.IndexedImage{Digest: one})
		}
		below = these
	}
	questions := 0
	usage := &Indexed{Reader: newFake(t, objects...)}
	yes, err := usage.anyName(t.Context(), recordOf(t, lis()), func(string) (bool, error) { questions++; return false, nil })
	if want := 2 + 3*wide; yes || err != nil || questions != want {
		t.Errorf("%d questions, want %d, as the image has two names: %t, %v", questions, want, yes, err)
	}
}

func TestADigestIsFoundBehindWhateverStandsBeforeIt(t *testing.T) {
	for text, want := range map[string]string{
		digest(1): digest(1), "docker-pullable://r.example/lis@" + digest(1): digest(1), "docker://" + digest(1): digest(1), "r.example/lis:1@" + digest(1): digest(1),
		"r.example/lis:1": "", "": "", "sha256:1": "", digest(1) + "a": "", "r.example/lis@sha512:" + strings.Repeat("a", 128): "",
	} {
		if got, found := digestIn(text); got != want || found != (want != "") {
			t.Errorf("%q has %q", text, got)
		}
	}
}
