// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package admission

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/rollout"
	"github.com/labguard/labguard/internal/posture/template"
)

// counted is a reader whose only record, in whatever namespace, admits the image of the moment.
type counted struct {
	client.Reader

	lock  sync.Mutex
	image string
	lists int
	err   error
	// meanwhile is called once when a request has read the records, before it gets them.
	meanwhile func()
}

func (c *counted) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	c.lock.Lock()
	if records, ok := list.(*v1alpha1.RolloutRecordList); ok {
		c.lists++
		records.Items = []v1alpha1.RolloutRecord{{
			ObjectMeta: metav1.ObjectMeta{Name: "deployment-lis"},
			Spec:       v1alpha1.RolloutRecordSpec{Admitted: []v1alpha1.AdmittedImage{{Reference: c.image, Reason: v1alpha1.AdmittedFresh}}},
		}}
	}
	var meanwhile func()
	if _, ok := list.(*v1alpha1.RolloutRecordList); ok {
		meanwhile, c.meanwhile = c.meanwhile, nil
	}
	err := c.err
	c.lock.Unlock()
	if meanwhile != nil {
		meanwhile()
	}
	return err
}

func (c *counted) declare(image string) {
	c.lock.Lock()
	defer c.lock.Unlock()
	c.image = image
}

func watched(t *testing.T, reader client.Reader) (*Views, *informertest.FakeInformers) {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	informers := &informertest.FakeInformers{Scheme: scheme}
	views := NewViews(reader)
	if err := views.Watch(t.Context(), informers); err != nil {
		t.Fatal(err)
	}
	return views, informers
}

func expect(t *testing.T, reader client.Reader, namespace, image string) {
	t.Helper()
	seen, err := viewOf(t.Context(), reader, namespace)
	if err != nil {
		t.Fatal(err)
	}
	write := rollout.Write{Namespace: seen, Root: &template.Root{}}
	if _, admitted := write.Admitted().Admitted(image); !admitted {
		t.Errorf("%s is not admitted in %s", image, namespace)
	}
}

func TestANamespaceIsArrangedOnceForEachChange(t *testing.T) {
	for name, object := range map[string]client.Object{"a LabWorkload": &v1alpha1.LabWorkload{}, "a RolloutRecord": &v1alpha1.RolloutRecord{}} {
		reader := &counted{image: "lis:1"}
		views, informers := watched(t, reader)
		informer, err := informers.FakeInformerFor(t.Context(), object)
		if err != nil {
			t.Fatal(err)
		}
		object.SetNamespace("pathology")
		for change, happen := range map[string]func(){
			"comes": func() { informer.Add(object) }, "changes": func() { informer.Update(object, object) }, "goes": func() { informer.Delete(object) },
		} {
			t.Run(name+" "+change, func(t *testing.T) {
				expect(t, views, "pathology", "lis:1")
				expect(t, views, "chemistry", "lis:1")
				before := reader.lists
				for range 3 {
					expect(t, views, "pathology", "lis:1")
				}
				if reader.lists != before {
					t.Errorf("arranged %d times without a change", reader.lists-before)
				}
				happen()
				expect(t, views, "chemistry", "lis:1")
				if reader.lists != before {
					t.Error("another namespace is arranged anew")
				}
				expect(t, views, "pathology", "lis:1")
				if reader.lists != before+1 {
					t.Errorf("arranged %d times after a change", reader.lists-before)
				}
			})
		}
	}
}

func TestWithoutWatchingNothingIsKept(t *testing.T) {
	reader := &counted{}
	for name, views := range map[string]client.Reader{"views": NewViews(reader), "a plain reader": reader} {
		for i := range 3 {
			reader.declare(fmt.Sprintf("lis:%d", i))
			t.Run(name, func(t *testing.T) { expect(t, views, "pathology", fmt.Sprintf("lis:%d", i)) })
		}
	}
}

func TestWhatChangesWhileItIsReadIsNotKept(t *testing.T) {
	reader := &counted{image: "lis:1"}
	views, _ := watched(t, reader)
	reader.meanwhile = func() {
		reader.declare("lis:2")
		views.forget(&v1alpha1.RolloutRecord{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "deployment-lis"}})
	}
	if _, err := viewOf(t.Context(), views, "pathology"); err != nil {
		t.Fatal(err)
	}
	expect(t, views, "pathology", "lis:2")
}

func TestAnErrorIsReturnedAndNotKept(t *testing.T) {
	reader := &counted{image: "lis:1", err: errors.New("the cache has not started")}
	views, _ := watched(t, reader)
	if seen, err := viewOf(t.Context(), views, "pathology"); !errors.Is(err, reader.err) {
		t.Errorf("got %v, %v", seen, err)
	}
	reader.err = nil
	expect(t, views, "pathology", "lis:1")
}

func TestADeletionThatWasMissedDropsTheView(t *testing.T) {
	for name, object := range map[string]any{
		"a tombstone":           toolscache.DeletedFinalStateUnknown{Key: "pathology/deployment-lis"},
		"something without key": "nothing that is known",
		"something that has no namespace, which cannot be": &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Name: "lis"}},
	} {
		t.Run(name, func(t *testing.T) {
			reader := &counted{image: "lis:1"}
			views, _ := watched(t, reader)
			expect(t, views, "pathology", "lis:1")
			reader.declare("lis:2")
			views.forget(object)
			expect(t, views, "pathology", "lis:2")
		})
	}
}

func TestViewsDoNotGrowWithoutEnd(t *testing.T) {
	views, _ := watched(t, &counted{image: "lis:1"})
	for i := range 3 * maxViews {
		expect(t, views, fmt.Sprintf("namespace-%d", i), "lis:1")
		if len(views.kept) > maxViews {
			t.Fatalf("%d views are kept", len(views.kept))
		}
	}
}

func TestAfterTheLastChangeEveryRequestSeesIt(t *testing.T) {
	reader := &counted{image: "lis:0"}
	views, _ := watched(t, reader)
	var asking sync.WaitGroup
	done := make(chan struct{})
	for range 4 {
		asking.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					if _, err := viewOf(t.Context(), views, "pathology"); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	for i := range 2000 {
		image := fmt.Sprintf("lis:%d", i)
		reader.declare(image)
		views.forget(&v1alpha1.RolloutRecord{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology"}})
		expect(t, views, "pathology", image)
	}
	close(done)
	asking.Wait()
}
