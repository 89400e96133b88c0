// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// TestReplicas runs two managers: one leads, and when it is killed the other takes over and keeps the gate.
func TestReplicas(t *testing.T) {
	first := operator.Start(t, operator.Options{Arguments: []string{"--leader-elect=true"}})
	l := newLab(t)
	leader := awaitLeader(t, l, "")
	fresh, stale := operator.Push(t, "lab/replicas:fresh", 10*day), operator.Push(t, "lab/replicas:stale", 200*day)
	l.govern("lis")
	operator.Start(t, operator.Options{Arguments: []string{"--leader-elect=true"}})
	if now := awaitLeader(t, l, ""); now != leader {
		t.Fatalf("%s leads beside %s", now, leader)
	}
	first.Kill(t)
	awaitLeader(t, l, leader)
	operator.Eventually(t, "the other manager admits a fresh image", func() error {
		_, err := l.tenant("apply", "-f", l.file(deployment("lis", fresh)))
		return err
	})
	l.admitted("deployment-lis", fresh, v1alpha1.AdmittedFresh)
	l.mayNot([]string{"is stale"}, "set", "image", "deployment/lis", "lis="+stale)
}

// awaitLeader waits until somebody other than a former leader holds the lease.
func awaitLeader(t *testing.T, l *lab, former string) string {
	t.Helper()
	var holder string
	operator.Eventually(t, "a manager leads", func() error {
		lease := &coordinationv1.Lease{}
		if err := l.Get(t.Context(), client.ObjectKey{Namespace: "labguard-system", Name: "labguard"}, lease); err != nil {
			return err
		}
		if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" || *lease.Spec.HolderIdentity == former {
			return errors.New("nobody new does")
		}
		holder = *lease.Spec.HolderIdentity
		return nil
	})
	return holder
}

// TestMetricsAreForThoseWhoMayGetThem asks for the metrics without and with the right to them.
func TestMetricsAreForThoseWhoMayGetThem(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	operator.Start(t, operator.Options{Arguments: []string{"--metrics-bind-address=" + address, "--metrics-secure=true"}})
	l := newLab(t)
	l.kubectl("create", "serviceaccount", "scraper", "-n", l.namespace)
	token := cluster.ServiceAccountConfig(t, l.namespace, "scraper").BearerToken
	awaitMetrics(t, address, "", http.StatusUnauthorized)
	awaitMetrics(t, address, token, http.StatusForbidden)
	l.kubectl("create", "clusterrole", "scrape-"+l.namespace, "--verb=get", "--non-resource-url=/metrics")
	t.Cleanup(func() { l.kubectl("delete", "clusterrole,clusterrolebinding", "scrape-"+l.namespace) })
	l.kubectl("create", "clusterrolebinding", "scrape-"+l.namespace, "--clusterrole=scrape-"+l.namespace, "--serviceaccount="+l.namespace+":scraper")
	awaitMetrics(t, address, token, http.StatusOK)
}

func awaitMetrics(t *testing.T, address, token string, want int) {
	t.Helper()
	reader := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // its certificate is its own
	operator.Eventually(t, fmt.Sprintf("metrics answer %d", want), func() error {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+address+"/metrics", http.NoBody)
		if err != nil {
			return err
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := reader.Do(request)
		if err != nil {
			return err
		}
		if response.StatusCode != want {
			err = fmt.Errorf("they answer %s", response.Status)
		}
		return errors.Join(err, response.Body.Close())
	})
}
