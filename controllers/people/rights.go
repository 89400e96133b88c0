// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture/rights"
)

const (
	// workOutEvery is how far two looks at everything lie apart at least.
	workOutEvery = 10 * time.Second
	// maxLogged is how many findings of one reason a line of the log names.
	maxLogged = 5
)

// RightsConfig is what the operator's configuration says about rights.
type RightsConfig struct {
	// Machines are the listed machines, Trusted the holders that the platform team accepts.
	Machines []rights.Machine
	Trusted  []rights.Subject
	// BreakGlass is the group of the emergency; empty is the default one.
	BreakGlass string
	// User is labguard's own user name.
	User string
}

// Rights knows who could go around the gate for people. It reads RBAC once a LabWorkload asks for logins, on the leader alone.
type Rights struct {
	// workloads reads LabWorkloads and IdentityProviders, bindings RBAC.
	workloads client.Reader
	bindings  cache.Cache
	config    RightsConfig
	// live asks the API server itself. Nil: nobody does, and a report counts no longer than RightsLast.
	live   client.Reader
	kept   *kept[rights.Report]
	logged map[rights.Reason]string

	lock sync.Mutex
	// confirmed is when the cache was last seen to have what the API server has.
	confirmed time.Time
}

// +kubebuilder:rbac:groups=rbac.authorization.k8s.io,resources=clusterroles;clusterrolebindings;roles;rolebindings,verbs=get;list;watch
// +kubebuilder:rbac:groups=labguard.dev,resources=labworkloads;identityproviders,verbs=get;list;watch

// NewRights makes it. workloads answers from caches of LabWorkloads and IdentityProviders; bindings is a cache of RBAC as RightsCacheOptions make it,
// which nobody has started: Rights does.
func NewRights(workloads client.Reader, bindings cache.Cache, config RightsConfig, ticking clock.WithTicker) *Rights {
	r := &Rights{workloads: workloads, bindings: bindings, config: config, logged: map[rights.Reason]string{}}
	r.kept = newKept(ticking, workOutEvery, r.find, func(before, after rights.Report) bool { return reflect.DeepEqual(before, after) })
	return r
}

// SetupWithManager learns of LabWorkloads and IdentityProviders from the manager's caches, and is started by the manager.
func (r *Rights) SetupWithManager(ctx context.Context, manager ctrl.Manager) error {
	for _, kind := range []client.Object{&v1alpha1.LabWorkload{}, &v1alpha1.IdentityProvider{}} {
		informer, err := manager.GetCache().GetInformer(ctx, kind)
		if err != nil {
			return fmt.Errorf("watch %T for the search for rights: %w", kind, err)
		}
		if _, err := informer.AddEventHandler(r.kept.poked(otherGeneration)); err != nil {
			return fmt.Errorf("watch %T for the search for rights: %w", kind, err)
		}
	}
	r.live = manager.GetAPIReader()
	return manager.Add(r)
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: only what judges LabWorkloads asks, and that runs on the leader.
func (r *Rights) NeedLeaderElection() bool { return true }

// Start keeps the report until the context ends. Until a LabWorkload asks for logins no RBAC object is read.
func (r *Rights) Start(ctx context.Context) error {
	ctx = log.IntoContext(ctx, log.FromContext(ctx).WithName("rights"))
	r.kept.poke()
	if asked, err := r.untilAsked(ctx); !asked {
		return err
	}
	for _, kind := range []client.Object{&rbacv1.ClusterRole{}, &rbacv1.Role{}, &rbacv1.ClusterRoleBinding{}, &rbacv1.RoleBinding{}} {
		informer, err := r.bindings.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
		if err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}
		if _, err := informer.AddEventHandler(r.kept.poked(otherVersion)); err != nil {
			return fmt.Errorf("watch %T: %w", kind, err)
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- r.bindings.Start(ctx) }()
	if r.bindings.WaitForCacheSync(ctx) {
		r.confirm(r.kept.clock.Now())
		if r.live != nil {
			go r.keepComparing(ctx)
		}
		r.kept.poke()
		r.kept.keep(ctx, "who could go around the gate for people")
	}
	return <-ended
}

// untilAsked waits for the first LabWorkload that asks for logins; false: the context has ended first, or something has failed.
func (r *Rights) untilAsked(ctx context.Context) (bool, error) {
	for {
		select {
		case <-ctx.Done():
			return false, nil
		case <-r.kept.changed:
		}
		var workloads v1alpha1.LabWorkloadList
		if err := r.workloads.List(ctx, &workloads, client.UnsafeDisableDeepCopy); err != nil {
			return false, fmt.Errorf("list LabWorkloads: %w", err)
		}
		if anyAsks(workloads.Items) {
			return true, nil
		}
	}
}

func anyAsks(workloads []v1alpha1.LabWorkload) bool {
	return slices.ContainsFunc(workloads, func(workload v1alpha1.LabWorkload) bool { return workload.Spec.MFA != nil })
}

// Report is what was found last; false: nobody has looked yet, or what was looked at is not known to be so any more.
func (r *Rights) Report() (rights.Report, bool) {
	report, known := r.kept.get()
	if !known || !r.fresh() {
		return rights.Report{}, false
	}
	return report, true
}

// Notify has listen called whenever something else was found, and when a report begins or ceases to count. listen must not block.
func (r *Rights) Notify(listen func()) { r.kept.notify(listen) }

// find looks at everything.
func (r *Rights) find(ctx context.Context) (rights.Report, error) {
	in := rights.Input{Machines: r.config.Machines, Trusted: r.config.Trusted, BreakGlass: r.config.BreakGlass, Own: r.config.User}
	asked, err := r.readGoverned(ctx, &in)
	if err := errors.Join(r.readBindings(ctx, &in), err); err != nil {
		return rights.Report{}, err
	}
	report := rights.Find(in)
	if !asked {
		metrics.AccessFindings.Reset() // nothing here that they could go around
		return report, nil
	}
	r.tell(ctx, report)
	return report, nil
}

func (r *Rights) readBindings(ctx context.Context, in *rights.Input) error {
	var (
		clusterRoles    rbacv1.ClusterRoleList
		roles           rbacv1.RoleList
		clusterBindings rbacv1.ClusterRoleBindingList
		bindings        rbacv1.RoleBindingList
	)
	for _, list := range []client.ObjectList{&clusterRoles, &roles, &clusterBindings, &bindings} {
		if err := r.bindings.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
			return fmt.Errorf("list %T: %w", list, err)
		}
	}
	in.ClusterRoles, in.Roles, in.ClusterRoleBindings, in.RoleBindings = clusterRoles.Items, roles.Items, clusterBindings.Items, bindings.Items
	return nil
}

// readGoverned also says whether any LabWorkload asks for logins.
func (r *Rights) readGoverned(ctx context.Context, in *rights.Input) (bool, error) {
	var workloads v1alpha1.LabWorkloadList
	if err := r.workloads.List(ctx, &workloads, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("list LabWorkloads: %w", err)
	}
	in.Governed = rights.Governed(workloads.Items)
	var providers v1alpha1.IdentityProviderList
	if err := r.workloads.List(ctx, &providers, client.UnsafeDisableDeepCopy); err != nil {
		return false, fmt.Errorf("list IdentityProviders: %w", err)
	}
	in.ClaimKeys = rights.ClaimKeys(providers.Items)
	return anyAsks(workloads.Items), nil
}

// tell shows the findings in the metric, and in the log where those of a reason are others than before.
func (r *Rights) tell(ctx context.Context, report rights.Report) {
	for _, reason := range rights.Reasons() {
		count := report.Count(reason)
		metrics.AccessFindings.WithLabelValues(string(reason)).Set(float64(count))
		var first []string
		for _, finding := range report.Findings {
			if finding.Reason == reason && len(first) < maxLogged {
				first = append(first, finding.String())
			}
		}
		line := fmt.Sprint(count, first)
		if before, told := r.logged[reason]; line == before || !told && count == 0 {
			continue
		}
		r.logged[reason] = line
		log.FromContext(ctx).Info("rights that go around the gate for people have changed", "reason", reason, "count", count, "first", first)
	}
}
