// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	testclock "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/cluster"
)

// replica is a manager with the caches and indexes of labguard, and a store.
type replica struct {
	ctrl.Manager
	store *Store
	// stop ends it, as a restart does.
	stop func()
}

// startReplica starts a replica whose caches are filled. It stops with the test.
func startReplica(t *testing.T) *replica {
	t.Helper()
	manager, err := ctrl.NewManager(cluster.Config(), ctrl.Options{
		Scheme: newScheme(t), Metrics: metricsserver.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: new(true)},
		Cache: cache.Options{DefaultTransform: func(object any) (any, error) {
			if _, isPod := object.(*corev1.Pod); isPod {
				return inventory.Strip(object)
			}
			return inventory.StripManagedFields(object)
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := IndexFields(t.Context(), manager.GetFieldIndexer()); err != nil {
		t.Fatal(err)
	}
	r := &replica{Manager: manager, store: NewStore(manager.GetClient(), manager.GetClient(), clock.RealClock{})}
	if err := manager.Add(r.store); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	if !manager.GetCache().WaitForCacheSync(ctx) {
		t.Fatal("the caches are not filled")
	}
	return r
}

// forget deletes records when the test ends.
func forget(t *testing.T, admin client.Client, digests ...string) {
	t.Helper()
	t.Cleanup(func() {
		for _, one := range digests {
			record := &v1alpha1.ImageRecord{ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ImageRecordName(one)}}
			if err := client.IgnoreNotFound(admin.Delete(context.WithoutCancel(t.Context()), record)); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestReplicasShareTheInventoryAcrossRestarts(t *testing.T) {
	admin := newClient(t)
	forget(t, admin, digest(1), digest(9))
	first, second := startReplica(t), startReplica(t)
	if _, known := first.store.Content(digest(1)); known {
		t.Fatal("known before anybody kept it")
	}
	there := with(lis(), func(c *posture.Content) { c.FirstSeen = c.FirstSeen.Add(time.Minute) })
	first.store.Keep(lis())
	second.store.Keep(there)
	first.store.Keep(lisIndex())
	eventually(t, "both replicas have both", func() bool {
		for _, r := range []*replica{first, second} {
			_, image := r.store.Content(digest(1))
			if _, index := r.store.Content(digest(9)); !image || !index || !r.store.idle() {
				return false
			}
		}
		return true
	})
	agreed, _ := first.store.Content(digest(1))
	if other, _ := second.store.Content(digest(1)); cmp.Diff(agreed, other) != "" || cmp.Diff(agreed, lis()) != "" && cmp.Diff(agreed, there) != "" {
		t.Errorf("the replicas know different things, or none that was kept: %+v, %+v", agreed, other)
	}
	if got, known := second.store.OfConfig(digest(2)); !known || cmp.Diff(agreed, got) != "" {
		t.Errorf("by configuration: %t, %+v", known, got)
	}
	if got := second.store.SameContentSince("registry.example/lab/lis", digest(3)); !got.Equal(lis().HistoryCreated) {
		t.Errorf("the same files since %v", got)
	}
	var all v1alpha1.ImageRecordList
	if err := admin.List(t.Context(), &all); err != nil || len(all.Items) != 2 {
		t.Fatalf("%d records, %v", len(all.Items), err)
	}
	first.stop()
	second.stop()
	third := startReplica(t)
	if got, known := third.store.Content(digest(1)); !known || cmp.Diff(agreed, got) != "" {
		t.Errorf("after a restart: %t, %+v", known, got)
	}
	third.store.Keep(there)
	if !third.store.idle() {
		t.Error("what is recorded waits to be recorded")
	}
	for i := range all.Items {
		if got := read(t, admin, all.Items[i].Spec.Digest); got.ResourceVersion != all.Items[i].ResourceVersion || len(got.Labels) > 0 {
			t.Errorf("record %s has been written again, or has labels: %v", got.Name, got.Labels)
		}
	}
}

func read(t *testing.T, admin client.Client, digest string) *v1alpha1.ImageRecord {
	t.Helper()
	record := &v1alpha1.ImageRecord{}
	if err := admin.Get(t.Context(), client.ObjectKey{Name: v1alpha1.ImageRecordName(digest)}, record); err != nil {
		t.Fatal(err)
	}
	return record
}

// everyReference has an object of each kind that refers to images, each to a digest of its own, and where that stands.
func everyReference(namespace string) map[string]client.Object {
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: namespace, Name: name} }
	pods := func(number int) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "x"}},
			Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, Containers: []corev1.Container{{Name: "app", Image: "r.example/x@" + digest(number)}}},
		}
	}
	once := func(number int) corev1.PodTemplateSpec {
		template := pods(number)
		template.Spec.RestartPolicy = corev1.RestartPolicyNever
		return template
	}
	selector, none, rc := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}, new(int32), pods(0x107)
	workload := &v1alpha1.LabWorkload{ObjectMeta: meta("reported"), Spec: v1alpha1.LabWorkloadSpec{Selector: *selector}}
	workload.Status.Images = []v1alpha1.ImageStatus{{Reference: "r.example/x:1", Digest: digest(0x102), Answer: "Fresh", Reason: "ImageFresh"}}
	runs := &corev1.Pod{ObjectMeta: meta("runs"), Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "r.example/x:1"}}}}
	runs.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "app", Image: "r.example/x:1", ImageID: "docker-pullable://r.example/x@" + digest(0x10a)}}
	loaded := &corev1.Pod{ObjectMeta: meta("loaded"), Spec: corev1.PodSpec{
		InitContainers: []corev1.Container{{Name: "init", Image: "x:1"}}, Containers: []corev1.Container{{Name: "app", Image: "x:1"}},
	}}
	loaded.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "init", Image: "x:1", ImageID: "docker://" + digest(0x10b)}}
	return map[string]client.Object{
		digest(0x101): &v1alpha1.RolloutRecord{ObjectMeta: meta("deployment-x"), Spec: v1alpha1.RolloutRecordSpec{Admitted: []v1alpha1.AdmittedImage{
			{Reference: "r.example/x:1", Digest: digest(0x101), Time: metav1.NewTime(start), Reason: v1alpha1.AdmittedFresh},
		}}},
		digest(0x102): workload,
		digest(0x103): &appsv1.Deployment{ObjectMeta: meta("d"), Spec: appsv1.DeploymentSpec{Replicas: none, Selector: selector, Template: pods(0x103)}},
		digest(0x104): &appsv1.StatefulSet{ObjectMeta: meta("s"), Spec: appsv1.StatefulSetSpec{Replicas: none, Selector: selector, Template: pods(0x104)}},
		digest(0x105): &appsv1.DaemonSet{ObjectMeta: meta("ds"), Spec: appsv1.DaemonSetSpec{Selector: selector, Template: pods(0x105)}},
		digest(0x106): &appsv1.ReplicaSet{ObjectMeta: meta("rs"), Spec: appsv1.ReplicaSetSpec{Replicas: none, Selector: selector, Template: pods(0x106)}},
		digest(0x107): &corev1.ReplicationController{
			ObjectMeta: meta("rc"), Spec: corev1.ReplicationControllerSpec{Replicas: none, Selector: map[string]string{"app": "x"}, Template: &rc},
		},
		digest(0x108): &batchv1.Job{ObjectMeta: meta("j"), Spec: batchv1.JobSpec{Suspend: new(true), Template: once(0x108)}},
		digest(0x109): &batchv1.CronJob{ObjectMeta: meta("cj"), Spec: batchv1.CronJobSpec{
			Schedule: "0 0 1 1 *", Suspend: new(true), JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: once(0x109)}},
		}},
		digest(0x10a): runs,
		digest(0x10b): loaded,
	}
}

func TestEveryKindOfReferenceIsFoundInTheCaches(t *testing.T) {
	admin, r := newClient(t), startReplica(t)
	usage := &Indexed{Reader: r.GetClient(), Live: r.GetAPIReader(), Clock: clock.RealClock{}}
	image := func(number int) *v1alpha1.ImageRecord {
		return recordOf(t, with(lis(), func(c *posture.Content) { c.Digest, c.ConfigDigest = digest(number), digest(number+0x1000) }))
	}
	inUse := func(record *v1alpha1.ImageRecord) bool {
		t.Helper()
		used, err := usage.InUse(t.Context(), record)
		if err != nil {
			t.Fatal(err)
		}
		return used
	}
	objects := everyReference(cluster.Namespace(t))
	for name, object := range objects {
		referred := image(1)
		referred.Spec.Digest = name
		eventually(t, "nothing refers to "+name+", what an earlier run left included", func() bool { return !inUse(referred) })
		wanted := object.DeepCopyObject().(client.Object)
		if err := admin.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		if hasStatus(wanted) {
			if err := writeStatus(t.Context(), admin, wanted); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, fmt.Sprintf("%T %s is found", object, object.GetName()), func() bool { return inUse(referred) })
	}
	if inUse(image(0x1ff)) {
		t.Error("an image that nothing refers to is in use")
	}
	byConfig := recordOf(t, with(lis(), func(c *posture.Content) { c.Digest, c.ConfigDigest = digest(0x1ff), digest(0x10b) }))
	if !inUse(byConfig) {
		t.Error("a pod runs the image by the digest of its configuration, and it is not in use")
	}
	index := with(lisIndex(), func(c *posture.Content) {
		c.Digest, c.Images = digest(0x101), []posture.IndexedImage{{Digest: digest(0x1fe)}}
	})
	forget(t, admin, index.Digest)
	if err := admin.Create(t.Context(), recordOf(t, index)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "an image is in use through the index that lists it", func() bool { return inUse(image(0x1fe)) })
	live, err := usage.InUseLive(t.Context(), image(0x1fe))
	if ofPod, failed := usage.InUseLive(t.Context(), image(0x10a)); err != nil || failed != nil || !live || ofPod {
		t.Errorf("by the API server: through an admitted index %t, %v; a pod alone %t, %v", live, err, ofPod, failed)
	}
	if err := admin.Delete(t.Context(), objects[digest(0x10a)], client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is gone refers to nothing", func() bool { return !inUse(image(0x10a)) })
}

func hasStatus(object client.Object) bool {
	switch object.(type) {
	case *corev1.Pod, *v1alpha1.LabWorkload:
		return true
	default:
		return false
	}
}

// writeStatus writes the status alone, whatever the scheduler writes meanwhile.
func writeStatus(ctx context.Context, admin client.Client, wanted client.Object) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		current := wanted.DeepCopyObject().(client.Object)
		if err := admin.Get(ctx, client.ObjectKeyFromObject(wanted), current); err != nil {
			return err
		}
		next := wanted.DeepCopyObject().(client.Object)
		next.SetResourceVersion(current.GetResourceVersion())
		return admin.Status().Update(ctx, next)
	})
}

func TestARecordGoesThirtyDaysAfterItsLastReference(t *testing.T) {
	admin, r := newClient(t), startReplica(t)
	forget(t, admin, digest(0x201))
	passive := testclock.NewFakeClock(start)
	reconciler := &Reconciler{
		Client: r.GetClient(), Clock: passive, Random: func() float64 { return 0.5 },
		Usage: &Indexed{Reader: r.GetClient(), Live: r.GetAPIReader(), Clock: passive},
	}
	record := recordOf(t, with(lis(), func(c *posture.Content) { c.Digest, c.FirstSeen = digest(0x201), start.Add(-2*newFor) }))
	workload := &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: cluster.Namespace(t), Name: "lis"},
		Spec:       v1alpha1.LabWorkloadSpec{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}},
	}
	if err := errors.Join(admin.Create(t.Context(), record), admin.Create(t.Context(), workload)); err != nil {
		t.Fatal(err)
	}
	// report has the LabWorkload report the image or not, and waits until the caches know.
	report := func(used bool) {
		t.Helper()
		workload.Status.Images = nil
		if used {
			workload.Status.Images = []v1alpha1.ImageStatus{{Reference: "r.example/lis:1", Digest: digest(0x201), Answer: "Fresh", Reason: "ImageFresh"}}
		}
		if err := admin.Status().Update(t.Context(), workload); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the caches know", func() bool {
			known, err := reconciler.Usage.InUse(t.Context(), record)
			return err == nil && known == used
		})
	}
	// look reconciles once the cache has the record as the API server has it, and gives what is there afterwards.
	look := func() (time.Duration, *metav1.Time) {
		t.Helper()
		key := client.ObjectKeyFromObject(record)
		eventually(t, "the cache has caught up", func() bool {
			cached := &v1alpha1.ImageRecord{}
			return r.GetClient().Get(t.Context(), key, cached) == nil && cached.ResourceVersion == read(t, admin, digest(0x201)).ResourceVersion
		})
		result, err := reconciler.Reconcile(t.Context(), ctrl.Request{NamespacedName: key})
		if err != nil {
			t.Fatal(err)
		}
		after := &v1alpha1.ImageRecord{}
		if err := admin.Get(t.Context(), key, after); apierrors.IsNotFound(err) {
			return -1, nil
		} else if err != nil {
			t.Fatal(err)
		}
		return result.RequeueAfter, after.Status.UnusedSince
	}
	report(true)
	version := read(t, admin, digest(0x201)).ResourceVersion
	if _, since := look(); since != nil || read(t, admin, digest(0x201)).ResourceVersion != version {
		t.Fatalf("in use, and unused since %v or written", since)
	}
	report(false)
	if next, since := look(); !since.Equal(stamp(start)) || next != 6*time.Hour {
		t.Fatalf("unused since %v, next look in %v", since, next)
	}
	version = read(t, admin, digest(0x201)).ResourceVersion
	passive.Step(29 * 24 * time.Hour)
	if _, since := look(); !since.Equal(stamp(start)) || read(t, admin, digest(0x201)).ResourceVersion != version {
		t.Fatalf("after 29 days: unused since %v, or written", since)
	}
	report(true)
	if _, since := look(); since != nil {
		t.Fatalf("used again, and unused since %v", since)
	}
	passive.Step(24 * time.Hour)
	report(false)
	again := passive.Now()
	if _, since := look(); !since.Equal(stamp(again)) {
		t.Fatalf("unused again since %v", since)
	}
	passive.Step(Retention - time.Hour)
	if next, _ := look(); next != time.Hour {
		t.Fatalf("an hour before the end the next look is in %v", next)
	}
	passive.Step(time.Hour)
	if next, _ := look(); next != -1 {
		t.Fatalf("after 30 days it is still there, next look in %v", next)
	}
	if result, err := reconciler.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(record)}); err != nil && !apierrors.IsConflict(err) {
		t.Errorf("a look at what is gone: %v, %v", result, err)
	}
}

// A leader whose cache is behind deletes nothing that has changed since: neither a record that is used again, nor a new one of the same name.
func TestACacheThatLagsDeletesNothing(t *testing.T) {
	admin := newClient(t)
	forget(t, admin, digest(0x301))
	content := with(lis(), func(c *posture.Content) { c.Digest = digest(0x301) })
	for name, change := range map[string]func(*v1alpha1.ImageRecord) error{
		"it is used again": func(record *v1alpha1.ImageRecord) error {
			record.Status.UnusedSince = nil
			return admin.Status().Update(t.Context(), record)
		},
		"it was deleted and written anew": func(record *v1alpha1.ImageRecord) error {
			return errors.Join(admin.Delete(t.Context(), record), admin.Create(t.Context(), recordOf(t, content)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			record := recordOf(t, content)
			if err := admin.Create(t.Context(), record); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = admin.Delete(context.WithoutCancel(t.Context()), recordOf(t, content)) })
			if err := admin.Status().Update(t.Context(), unusedFor(record, start, Retention)); err != nil {
				t.Fatal(err)
			}
			past := record.DeepCopy()
			if err := change(record.DeepCopy()); err != nil {
				t.Fatal(err)
			}
			lagging := interceptor.NewClient(admin, interceptor.Funcs{
				Get: func(_ context.Context, _ client.WithWatch, _ client.ObjectKey, object client.Object, _ ...client.GetOption) error {
					past.DeepCopyInto(object.(*v1alpha1.ImageRecord))
					return nil
				},
			})
			r := &Reconciler{Client: lagging, Usage: answers{}, Clock: testclock.NewFakeClock(start), Random: func() float64 { return 0 }}
			result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(past)})
			if err != nil || result.RequeueAfter <= 0 || result.RequeueAfter > time.Second {
				t.Errorf("%v, %v, want another look within a second", result, err)
			}
			if got := read(t, admin, digest(0x301)); got.DeletionTimestamp != nil || got.Status.UnusedSince != nil {
				t.Errorf("the record of now is %+v", got)
			}
		})
	}
}

// The inventory names private repositories of every team: those who may view a namespace may not read it.
func TestTheInventoryIsForThoseWhomThePlatformTeamBinds(t *testing.T) {
	if _, err := cluster.Kubectl(t, "apply", "-f", "../../config/rbac/user_roles.yaml"); err != nil {
		t.Fatal(err)
	}
	bind := func(user, role string) {
		t.Helper()
		if _, err := cluster.Kubectl(t, "create", "clusterrolebinding", "test-"+user, "--clusterrole="+role, "--user="+user); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = cluster.Kubectl(t, "delete", "clusterrolebinding", "test-"+user) })
	}
	may := func(user, verb, resource string) bool {
		answer, _ := cluster.Kubectl(t, "auth", "can-i", verb, resource, "--as="+user, "-A")
		return strings.TrimSpace(answer) == "yes"
	}
	for _, role := range []string{"view", "edit", "admin"} {
		bind("inventory-"+role, role)
		eventually(t, role+" may read LabWorkloads", func() bool { return may("inventory-"+role, "list", "labworkloads.labguard.dev") })
		if may("inventory-"+role, "list", "imagerecords.labguard.dev") || may("inventory-"+role, "create", "imagerecords.labguard.dev") {
			t.Errorf("the role %s may read or write ImageRecords", role)
		}
	}
	bind("inventory-platform", "labguard-image-inventory")
	for _, verb := range []string{"get", "list", "watch"} {
		eventually(t, "the platform team may "+verb, func() bool { return may("inventory-platform", verb, "imagerecords.labguard.dev") })
	}
	for _, verb := range []string{"create", "update", "patch", "delete"} {
		if may("inventory-platform", verb, "imagerecords.labguard.dev") {
			t.Errorf("the platform team may %s ImageRecords", verb)
		}
	}
}
