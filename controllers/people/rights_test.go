// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	toolscache "k8s.io/client-go/tools/cache"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache/informertest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture/rights"
)

// rbac is a cache of RBAC objects in memory, whose events the test sends.
type rbac struct {
	*informertest.FakeInformers

	objects *api
	started chan struct{}
}

func (r *rbac) Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error {
	return r.objects.Get(ctx, key, object, options...)
}

func (r *rbac) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return r.objects.List(ctx, list, options...)
}

func (r *rbac) Start(ctx context.Context) error {
	close(r.started)
	<-ctx.Done()
	return nil
}

func clusterRole(name string, rules ...rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules}
}

func bound(name, holder string) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-" + holder},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: holder, APIGroup: rbacv1.GroupName}},
	}
}

var nodesProxy = rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"nodes/proxy"}, Verbs: []string{"get"}}

func asks(namespace string, mfa *v1alpha1.MFASpec) *v1alpha1.LabWorkload {
	return &v1alpha1.LabWorkload{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "lis"},
		Spec:       v1alpha1.LabWorkloadSpec{Selector: metav1.LabelSelector{MatchLabels: map[string]string{"app": "lis"}}, MFA: mfa},
	}
}

func rightsOf(t *testing.T, workloads, bindings *api, config RightsConfig) (*Rights, *rbac, *testclock.FakeClock) {
	t.Helper()
	clock := testclock.NewFakeClock(noon)
	all := &rbac{FakeInformers: &informertest.FakeInformers{Scheme: newScheme(t)}, objects: bindings, started: make(chan struct{})}
	return NewRights(workloads, all, config, clock), all, clock
}

// found are the reasons and holders of a report.
func found(report rights.Report) []string {
	var all []string
	for _, finding := range report.Findings {
		all = append(all, string(finding.Reason)+" "+finding.Subject.Name)
	}
	return all
}

func TestRightsAreSearchedWithWhatTheClusterAndTheConfigurationSay(t *testing.T) {
	forger := rbacv1.PolicyRule{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"userextras/lab.example/amr"}, Verbs: []string{"impersonate"}}
	reader := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get"}}
	deployer := rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"create", "patch"}}
	bindings := apiWith(t,
		clusterRole("proxy", nodesProxy), bound("proxy", "mallory"), bound("proxy", "monitoring"),
		clusterRole("forge", forger), bound("forge", "eve"),
		clusterRole("read", reader), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "read"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "read"},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.GroupKind, Name: "oncology"}},
		},
		clusterRole("deploy", deployer), bound("deploy", "carol"), bound("deploy", "system:serviceaccount:labguard-system:labguard"),
	)
	named := provider("lab", issuer, func(p *v1alpha1.IdentityProvider) { p.Spec.ClaimKeys.Methods = "lab.example/amr" })
	r, _, _ := rightsOf(t, apiWith(t, asks("pathology", &v1alpha1.MFASpec{}), named), bindings, RightsConfig{
		Machines: []rights.Machine{{Namespace: "gitops", Name: "argo"}}, Trusted: []rights.Subject{{Kind: rbacv1.UserKind, Name: "monitoring"}},
		User: "system:serviceaccount:labguard-system:labguard",
	})
	report, err := r.find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ClaimsForgeable eve", "MachineIdentityClaimable carol", "NodesProxy mallory", "SecretsReadable oncology"}
	if diff := cmp.Diff(want, found(report)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if got := testutil.ToFloat64(metrics.AccessFindings.WithLabelValues("NodesProxy")); got != 1 {
		t.Errorf("the metric says %v", got)
	}
}

func TestFindingsGoWithTheLastLabWorkloadThatAsksForLogins(t *testing.T) {
	asking := asks("pathology", &v1alpha1.MFASpec{})
	workloads := apiWith(t, asking, asks("chemistry", nil))
	r, _, _ := rightsOf(t, workloads, apiWith(t, clusterRole("proxy", nodesProxy), bound("proxy", "mallory")), RightsConfig{})
	series := func() int {
		if _, err := r.find(t.Context()); err != nil {
			t.Fatal(err)
		}
		return testutil.CollectAndCount(metrics.AccessFindings)
	}
	if got := series(); got != len(rights.Reasons()) {
		t.Errorf("%d series, want one for each reason", got)
	}
	if err := workloads.Delete(t.Context(), asking); err != nil {
		t.Fatal(err)
	}
	if got := series(); got != 0 {
		t.Errorf("%d series are left", got)
	}
}

func TestLabguardsOwnAccountIsAMachine(t *testing.T) {
	t.Parallel()
	here := func(name string, rule rbacv1.PolicyRule, holders ...rbacv1.Subject) []client.Object {
		return []client.Object{clusterRole(name, rule), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: "labguard-system", Name: name}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: name}, Subjects: holders,
		}}
	}
	user := func(name string) rbacv1.Subject { return rbacv1.Subject{Kind: rbacv1.UserKind, Name: name} }
	on := func(resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{resource}, Verbs: verbs}
	}
	all := on("*", "*")
	all.APIGroups = []string{"*"}
	objects := slices.Concat(
		here("token", on("serviceaccounts/token", "create"), user("anna")),
		here("run", on("pods", "create"), user("bert")),
		here("image", on("pods", "patch"), user("carla")),
		here("become", on("serviceaccounts", "impersonate"), user("dora")),
		here("become-another", rbacv1.PolicyRule{
			APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, Verbs: []string{"impersonate"}, ResourceNames: []string{"other"},
		}, user("emil")),
		here("look", on("pods", "get"), user("fritz")),
		// Whoever has rights there in every cluster.
		here("own", on("secrets", "get"), rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "labguard-system", Name: "labguard"}),
		[]client.Object{
			clusterRole("cluster-admin", all), &rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: "cluster-admin"}, RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "cluster-admin"},
				Subjects: []rbacv1.Subject{{Kind: rbacv1.GroupKind, Name: "system:masters"}},
			},
			clusterRole("system:controller:replicaset-controller", on("pods", "create", "patch")), &rbacv1.ClusterRoleBinding{
				ObjectMeta: metav1.ObjectMeta{Name: "system:controller:replicaset-controller"},
				RoleRef:    rbacv1.RoleRef{Kind: "ClusterRole", Name: "system:controller:replicaset-controller"},
				Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "kube-system", Name: "replicaset-controller"}},
			},
			bound("system:controller:replicaset-controller", "system:kube-controller-manager"),
		},
	)
	for user, want := range map[string][]string{
		"system:serviceaccount:labguard-system:labguard": {
			"MachineIdentityClaimable anna", "MachineIdentityClaimable bert", "MachineIdentityClaimable carla", "MachineIdentityClaimable dora",
		},
		"": nil,
	} {
		r, _, _ := rightsOf(t, apiWith(t, asks("pathology", &v1alpha1.MFASpec{})), apiWith(t, objects...), RightsConfig{User: user})
		report, err := r.find(t.Context())
		if diff := cmp.Diff(want, found(report)); diff != "" || err != nil {
			t.Errorf("user %q: %v, -want +got:\n%s", user, err, diff)
		}
	}
}

func TestAMachineInAGovernedNamespaceIsFound(t *testing.T) {
	t.Parallel()
	r, _, _ := rightsOf(t, apiWith(t, asks("gitops", &v1alpha1.MFASpec{}), asks("elsewhere", nil)), apiWith(t), RightsConfig{
		Machines: []rights.Machine{{Namespace: "gitops", Name: "argo"}, {Namespace: "machines", Name: "flux"}},
	})
	report, err := r.find(t.Context())
	if diff := cmp.Diff([]string{"MachineIdentityClaimable argo"}, found(report)); diff != "" || err != nil {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
}

// send has an informer tell of an object.
func send(t *testing.T, all *rbac, object client.Object) {
	t.Helper()
	informer, err := all.FakeInformerFor(t.Context(), object)
	if err != nil {
		t.Fatal(err)
	}
	informer.Add(object)
}

func TestNoBindingIsReadBeforeALabWorkloadAsksForLogins(t *testing.T) {
	t.Parallel()
	workloads := apiWith(t, asks("pathology", nil))
	r, all, clock := rightsOf(t, workloads, apiWith(t, clusterRole("proxy", nodesProxy), bound("proxy", "mallory")), RightsConfig{})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Start(ctx) }()
	select {
	case <-all.started:
		t.Fatal("RBAC is read though nobody asks for logins")
	case <-time.After(50 * time.Millisecond):
	}
	if _, known := r.Report(); known {
		t.Error("a report without a look")
	}
	if err := workloads.Create(ctx, asks("radiology", &v1alpha1.MFASpec{})); err != nil {
		t.Fatal(err)
	}
	r.kept.poke()
	eventually(t, clock, func() bool { _, known := r.Report(); return known })
	if report, _ := r.Report(); !slices.Contains(found(report), "NodesProxy mallory") {
		t.Errorf("found %v", found(report))
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAChangedBindingIsFoundWithinTenSecondsAndOthersAreTold(t *testing.T) {
	t.Parallel()
	bindings := apiWith(t, clusterRole("proxy", nodesProxy))
	r, all, clock := rightsOf(t, apiWith(t, asks("pathology", &v1alpha1.MFASpec{})), bindings, RightsConfig{})
	news := make(chan struct{}, 100)
	r.Notify(func() { news <- struct{}{} })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Start(ctx) }()
	<-news // the first report
	waiting(t, clock)
	late := bound("proxy", "mallory")
	if err := bindings.Create(ctx, late); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		send(t, all, late)
	}
	if report, _ := r.Report(); len(report.Findings) != 0 {
		t.Errorf("looked at once: %v", found(report))
	}
	clock.Step(workOutEvery)
	<-news
	if report, _ := r.Report(); !slices.Contains(found(report), "NodesProxy mallory") {
		t.Errorf("found %v", found(report))
	}
	waiting(t, clock)
	send(t, all, late) // an event that changes nothing
	clock.Step(workOutEvery)
	waiting(t, clock)
	if len(news) != 0 {
		t.Error("told without news")
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// waiting returns once somebody waits for the clock.
func waiting(t *testing.T, clock *testclock.FakeClock) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !clock.HasWaiters(); {
		if time.Now().After(deadline) {
			t.Fatal("nobody waits")
		}
		select {
		case <-time.After(time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

func TestWhatCannotBeReadLeavesTheReportThatThereWas(t *testing.T) {
	t.Parallel()
	clock := testclock.NewFakeClock(noon)
	answers := make(chan error, 10)
	k := newKept(clock, workOutEvery, func(context.Context) (int, error) { return 7, <-answers }, func(before, after int) bool { return before == after })
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { k.keep(ctx, "a number"); close(ended) }()
	answers <- nil
	k.poke()
	waiting(t, clock)
	answers <- errors.New("a hitch")
	k.poke()
	clock.Step(workOutEvery)
	waiting(t, clock)
	if got, known := k.get(); got != 7 || !known {
		t.Errorf("got %d, %t", got, known)
	}
	answers <- nil // nobody pokes: it is tried again by itself
	clock.Step(workOutEvery)
	waiting(t, clock)
	if len(answers) != 0 {
		t.Error("it is not tried again")
	}
	stop()
	<-ended
}

func TestStrippedRightsAreWhatTheSearchLooksAt(t *testing.T) {
	t.Parallel()
	heavy := metav1.ObjectMeta{
		Name: "x", Namespace: "y", ResourceVersion: "7", Labels: map[string]string{"a": "b"}, Annotations: map[string]string{"kubectl": strings.Repeat("x", 1000)},
		ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}},
	}
	rules := []rbacv1.PolicyRule{nodesProxy}
	subjects, role := []rbacv1.Subject{{Kind: rbacv1.UserKind, Name: "eve"}}, rbacv1.RoleRef{Kind: "ClusterRole", Name: "x"}
	light := metav1.ObjectMeta{Name: "x", Namespace: "y", ResourceVersion: "7"}
	labelled := light
	labelled.Labels = heavy.Labels
	sum := &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: heavy.Labels}}}
	other := toolscache.DeletedFinalStateUnknown{Key: "y/x"}
	for _, pair := range [][2]any{
		{&rbacv1.ClusterRole{ObjectMeta: heavy, Rules: rules, AggregationRule: sum}, &rbacv1.ClusterRole{ObjectMeta: labelled, Rules: rules, AggregationRule: sum}},
		{&rbacv1.Role{ObjectMeta: heavy, Rules: rules}, &rbacv1.Role{ObjectMeta: light, Rules: rules}},
		{&rbacv1.ClusterRoleBinding{ObjectMeta: heavy, Subjects: subjects, RoleRef: role}, &rbacv1.ClusterRoleBinding{ObjectMeta: light, Subjects: subjects, RoleRef: role}},
		{&rbacv1.RoleBinding{ObjectMeta: heavy, Subjects: subjects, RoleRef: role}, &rbacv1.RoleBinding{ObjectMeta: light, Subjects: subjects, RoleRef: role}},
		{other, other},
	} {
		got, err := RightsCacheOptions().DefaultTransform(pair[0])
		if diff := cmp.Diff(pair[1], got); err != nil || diff != "" {
			t.Errorf("%T: %v, -want +got:\n%s", pair[0], err, diff)
		}
	}
}
