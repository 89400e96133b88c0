// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// The size of the measured cluster, and how long a turn is.
const (
	benchNamespaces, benchProfiles = 1000, 10
	benchRounds, benchRequests     = 20, 20
	benchWarmUp                    = 5
	benchWriters                   = 8
)

// BenchmarkPodCreation measures what the policies cost the creation of a pod (a server-side dry run) among 10,000 profiles in 1,000 namespaces: in a namespace that is not
// governed, of a pod that no profile selects in one that is, and of one that gets the sidecar. The same pod without any policy takes turns with them, in the same
// API server: in each round the bindings of all policies are taken away and put back. It prints a table.
func BenchmarkPodCreation(b *testing.B) {
	l := &stage{B: b}
	l.plain = l.namespace("bench-plain")
	for b.Loop() {
		names := l.fill()
		l.install(names)
		pods := map[string]*corev1.Pod{
			"not governed": l.pod(l.plain, "lis"), "not selected": l.pod(names[0], "other"), "with the sidecar": l.pod(names[0], "lis-3"),
		}
		took := map[string][]time.Duration{}
		for range benchRounds {
			l.bind(names, false)
			l.turn(map[string]*corev1.Pod{noPolicy: pods["with the sidecar"]}, took)
			l.bind(names, true)
			l.turn(pods, took)
		}
		base := quantile(took[noPolicy], 0.5)
		var table strings.Builder
		fmt.Fprintf(&table, "%-18s %9s %9s %12s\n", "", "p50 ms", "p95 ms", "p50 - none")
		for _, name := range []string{noPolicy, "not governed", "not selected", "with the sidecar"} {
			fmt.Fprintf(&table, "%-18s %9.1f %9.1f %12.1f\n", name, ms(quantile(took[name], 0.5)), ms(quantile(took[name], 0.95)), ms(quantile(took[name], 0.5)-base))
		}
		b.Logf("%d profiles in %d namespaces; %d requests each, one at a time, in %d rounds\n%s",
			benchNamespaces*benchProfiles, benchNamespaces, benchRounds*benchRequests, benchRounds, table.String())
	}
}

const noPolicy = "no policy"

// stage is the measured cluster.
type stage struct {
	*testing.B
	plain string
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) clients() (*kubernetes.Clientset, client.Client) {
	s.Helper()
	typed, err := kubernetes.NewForConfig(access(""))
	s.must(err)
	scheme, err := newScheme()
	s.must(err)
	as, err := client.New(access(tenancy.Labguard), client.Options{Scheme: scheme})
	s.must(err)
	return typed, as
}

func (s *stage) namespace(name string) string {
	s.Helper()
	typed, _ := s.clients()
	_, err := typed.CoreV1().Namespaces().Create(s.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	s.must(err)
	s.must(wait.PollUntilContextTimeout(s.Context(), tenancy.PollEvery, tenancy.Patience, true, func(ctx context.Context) (bool, error) {
		_, err := typed.CoreV1().ServiceAccounts(name).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, nil
	}))
	return name
}

// fill makes the namespaces and profiles.
func (s *stage) fill() []string {
	s.Helper()
	typed, as := s.clients()
	names := make([]string, benchNamespaces)
	jobs, failures := make(chan int), make(chan error, benchWriters)
	var writers sync.WaitGroup
	for range benchWriters {
		writers.Go(func() {
			for i := range jobs {
				names[i] = fmt.Sprintf("bench-governed-%04d", i)
				if err := fillOne(s.Context(), typed, as, names[i]); err != nil {
					select {
					case failures <- err:
					default:
					}
				}
			}
		})
	}
	for i := range benchNamespaces {
		jobs <- i
	}
	close(jobs)
	writers.Wait()
	select {
	case err := <-failures:
		s.Fatal(err)
	default:
	}
	return names
}

func fillOne(ctx context.Context, typed *kubernetes.Clientset, as client.Client, name string) error {
	if _, err := typed.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	for i := range benchProfiles {
		if err := as.Create(ctx, lab{tenancy.Space{Namespace: name}}.profile(fmt.Sprintf("lis-%d", i))); err != nil {
			return err
		}
	}
	return nil
}

// install writes the policies for all namespaces, without their bindings.
func (s *stage) install(names []string) {
	s.Helper()
	typed, _ := s.clients()
	api, config := typed.AdmissionregistrationV1(), benchConfig(names)
	for _, guard := range injection.Guards(config) {
		_, err := api.ValidatingAdmissionPolicies().Apply(s.Context(), guard.Policy, tenancy.Forced)
		s.must(err)
	}
	policy, _ := injection.Injection(config)
	_, err := api.MutatingAdmissionPolicies().Apply(s.Context(), policy, tenancy.Forced)
	s.must(err)
}

func benchConfig(names []string) injection.Config {
	return injection.Config{Namespaces: names, LabguardUser: tenancy.Labguard, ClusterTrustBundles: true}
}

// bind writes the bindings of all policies or takes them away, and returns when each of the two kinds acts, or acts no more.
func (s *stage) bind(names []string, bound bool) {
	s.Helper()
	typed, _ := s.clients()
	api, config := typed.AdmissionregistrationV1(), benchConfig(names)
	_, binding := injection.Injection(config)
	if bound {
		_, err := api.MutatingAdmissionPolicyBindings().Apply(s.Context(), binding, tenancy.Forced)
		s.must(err)
	} else {
		s.must(client.IgnoreNotFound(api.MutatingAdmissionPolicyBindings().Delete(s.Context(), *binding.Name, metav1.DeleteOptions{})))
	}
	for _, guard := range injection.Guards(config) {
		for _, binding := range guard.Bindings {
			if bound {
				_, err := api.ValidatingAdmissionPolicyBindings().Apply(s.Context(), binding, tenancy.Forced)
				s.must(err)
				continue
			}
			s.must(client.IgnoreNotFound(api.ValidatingAdmissionPolicyBindings().Delete(s.Context(), *binding.Name, metav1.DeleteOptions{})))
		}
	}
	selected, intruder := s.pod(names[0], "lis-3"), s.pod(names[0], "other")
	// What the last of the guards to be written says of this pod: without its sidecar it may not carry the name of one in the label.
	intruder.Labels[v1alpha1.WorkloadLabel] = "lis-3"
	s.must(wait.PollUntilContextTimeout(s.Context(), tenancy.PollEvery, tenancy.Patience, true, func(ctx context.Context) (bool, error) {
		pod, err := typed.CoreV1().Pods(names[0]).Create(ctx, selected, dryRun)
		injected := err == nil && pod.Labels[v1alpha1.WorkloadLabel] == "lis-3"
		passed := err == nil
		if injected == bound {
			_, err = typed.CoreV1().Pods(names[0]).Create(ctx, intruder, dryRun)
		}
		return passed && injected == bound && (err != nil) == bound, nil
	}))
}

var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}

func (s *stage) pod(namespace, app string) *corev1.Pod {
	return lab{tenancy.Space{Namespace: namespace}}.pod("bench", app, sized)
}

// turn measures each of the pods, after a few requests that warm up.
func (s *stage) turn(pods map[string]*corev1.Pod, took map[string][]time.Duration) {
	s.Helper()
	typed, _ := s.clients()
	for name, pod := range pods {
		for i := range benchWarmUp + benchRequests {
			began := time.Now()
			_, err := typed.CoreV1().Pods(pod.Namespace).Create(s.Context(), pod, dryRun)
			s.must(err)
			if i >= benchWarmUp {
				took[name] = append(took[name], time.Since(began))
			}
		}
	}
}

func quantile(took []time.Duration, share float64) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[min(int(share*float64(len(sorted))), len(sorted)-1)]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
