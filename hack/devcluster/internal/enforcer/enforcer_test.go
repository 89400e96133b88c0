// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcer

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/knftables"
)

func newPod(name, address string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: name, UID: types.UID("uid-" + name)},
		Status:     corev1.PodStatus{PodIP: address},
	}
}

// start runs an enforcer for a cluster in which a policy isolates all pods of lab.
func start(t *testing.T, pods ...*corev1.Pod) (client *fake.Clientset, nft *knftables.Fake, url string) {
	t.Helper()
	client = fake.NewClientset(
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "lab"}},
		&networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Namespace: "lab", Name: "closed"}})
	for _, p := range pods {
		if err := client.Tracker().Add(p); err != nil {
			t.Fatal(err)
		}
	}
	nft = knftables.NewFake(knftables.IPv4Family, table)
	e := newEnforcer(nft)
	ctx, stop := context.WithCancel(t.Context())
	if err := e.watch(ctx, client); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		e.apply(ctx)
		close(ended)
	}()
	server := httptest.NewServer(e.handler())
	t.Cleanup(func() {
		server.Close()
		stop()
		<-ended
	})
	return client, nft, server.URL
}

func call(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, strings.TrimSpace(string(answer))
}

func TestSwitchesAreAnsweredOnceTheRulesFollow(t *testing.T) {
	_, nft, url := start(t, newPod("lis", "10.244.0.7"))
	for _, c := range []struct {
		body, now                string
		isolated, asksAboutNodes bool
	}{
		{`{}`, `{"enforce":true,"nodeTraffic":true}`, true, false},
		{`{"nodeTraffic":false}`, `{"enforce":true,"nodeTraffic":false}`, true, true},
		{`{"enforce":false}`, `{"enforce":false,"nodeTraffic":false}`, false, false},
		{`{"enforce":true,"nodeTraffic":true}`, `{"enforce":true,"nodeTraffic":true}`, true, false},
	} {
		code, now := call(t, http.MethodPut, url+"/switches", c.body)
		if code != http.StatusOK || now != c.now {
			t.Errorf("%s: got %d %s, want %s", c.body, code, now, c.now)
		}
		rules := nft.Dump()
		if strings.Contains(rules, "10.244.0.7") != c.isolated || strings.Contains(rules, "hook output") != c.asksAboutNodes {
			t.Errorf("%s: rules do not follow:\n%s", c.body, rules)
		}
		if code, got := call(t, http.MethodGet, url+"/switches", ""); code != http.StatusOK || got != c.now {
			t.Errorf("%s: got %d %s", c.body, code, got)
		}
	}
	if code, why := call(t, http.MethodPut, url+"/switches", `{"enforced":false}`); code != http.StatusBadRequest || !strings.Contains(why, "enforced") {
		t.Errorf("an unknown switch should be refused by name: %d %s", code, why)
	}
}

func TestAnnouncedPodIsHeldToPoliciesBeforeItsStatusHasAnAddress(t *testing.T) {
	client, nft, url := start(t)
	answered := make(chan string)
	go func() {
		code, answer := call(t, http.MethodPost, url+"/pods", `{"uid":"uid-lis","address":"10.244.0.9"}`)
		answered <- fmt.Sprint(code, answer)
	}()
	// The plugin may be faster than the watch.
	if _, err := client.CoreV1().Pods("lab").Create(t.Context(), newPod("lis", ""), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if got := <-answered; got != "200{}" {
		t.Fatal(got)
	}
	if rules := nft.Dump(); !strings.Contains(rules, "10.244.0.9 : jump ingress-0") {
		t.Errorf("the rules do not know the pod:\n%s", rules)
	}
}

func TestPodsWithoutANetworkOfTheirOwnAreLeftOut(t *testing.T) {
	onNode, ended := newPod("host", "172.30.0.1"), newPod("ended", "10.244.0.4")
	onNode.Spec.HostNetwork, ended.Status.Phase = true, corev1.PodSucceeded
	_, nft, url := start(t, onNode, ended, newPod("v6", "fd00::1"))
	if code, answer := call(t, http.MethodPut, url+"/switches", `{}`); code != http.StatusOK {
		t.Fatal(answer)
	}
	if rules := nft.Dump(); strings.Contains(rules, "jump") {
		t.Errorf("nobody should be isolated:\n%s", rules)
	}
}
