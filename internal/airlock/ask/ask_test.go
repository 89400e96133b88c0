// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/metrics"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/pki"
)

func TestAnAirlockIsAskedAtOnceAndThenTwiceAMinute(t *testing.T) {
	l := newLab(t)
	said := report.Report{Build: "1", Identity: &report.Identity{ID: lisID}, Bundles: map[string][]string{domain: {"a"}}}
	l.airlock(podAddress, l.leaf(), says(said))
	l.start()
	l.asker.Watch(lis, []posture.AirlockTarget{target("a", nil)})
	if got := <-l.changed; got != lis {
		t.Errorf("told of %s", got)
	}
	facts := l.asker.Facts(lis)["a"]
	if diff := cmp.Diff(said, facts.Report); diff != "" || !facts.ReportedAt.Equal(now) || facts.Failure != "" {
		t.Errorf("at %s, failure %q (-said +known):\n%s", facts.ReportedAt, facts.Failure, diff)
	}
	l.pass(5 * time.Minute)
	if got := l.dialled(podAddress + ":15091"); got < 10 || got > 11 {
		t.Errorf("asked %d times in five minutes", got)
	}
	if len(l.changed) > 0 {
		t.Error("told of a change, and nothing has changed")
	}
	if got := l.asker.Everything()["a"].ReportedAt; l.clock.Now().Sub(got) > every {
		t.Errorf("the last report is of %s", got)
	}
	if got := testutil.ToFloat64(metrics.Airlocks.WithLabelValues(metrics.AirlockReporting)); got != 1 {
		t.Errorf("%v airlocks report", got)
	}
	l.asker.Watch(lis, nil)
	if got := l.asker.Facts(lis); len(got) > 0 {
		t.Errorf("still known: %v", got)
	}
}

func TestWhoIsNotTheAirlockThatIsAskedIsNotBelieved(t *testing.T) {
	l := newLab(t)
	issue := func(from *pki.Authority, leaf pki.Leaf) tls.Certificate {
		if leaf.NotBefore.IsZero() {
			leaf.NotBefore = now.Add(-time.Hour)
		}
		return from.Issue(leaf).TLS(t)
	}
	id, good := []string{lisID}, says(report.Report{})
	tests := map[string]struct {
		certificate tls.Certificate
		answer      http.HandlerFunc
		want        string
	}{
		"another identity":     {issue(l.root, pki.Leaf{URIs: []string{"spiffe://lab.example/ns/lab/labworkload/other"}}), good, "not believed"},
		"no identity":          {issue(l.root, pki.Leaf{Names: []string{"lis"}}), good, "not believed"},
		"two identities":       {issue(l.root, pki.Leaf{URIs: []string{lisID, operatorID}}), good, "not believed"},
		"another root":         {issue(pki.NewAuthorityAt(t, "other", now), pki.Leaf{URIs: id}), good, "not believed: UnknownAuthority"},
		"for clients alone":    {issue(l.root, pki.Leaf{URIs: id, Usages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), good, "not believed"},
		"for everything":       {issue(l.root, pki.Leaf{URIs: id, NoUsages: true}), good, "not believed"},
		"an authority as leaf": {issue(l.root, pki.Leaf{URIs: id, Authority: true}), good, "not believed"},
		"expired":              {issue(l.root, pki.Leaf{URIs: id, NotAfter: now.Add(-time.Minute)}), good, "not believed"},
		"not valid yet":        {issue(l.root, pki.Leaf{URIs: id, NotBefore: now.Add(time.Minute)}), good, "not believed"},
		"an error":             {l.leaf(), func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, "it answers 403"},
		"a way to somewhere else": {l.leaf(), func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://10.9.9.9/", http.StatusFound)
		}, "it answers 302"},
		"garbage":                 {l.leaf(), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "no JSON"},
		"something after it":      {l.leaf(), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{} {}")) }, "something follows"},
		"another shape":           {l.leaf(), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"ports": 1}`)) }, "no JSON"},
		"more than is read":       {l.leaf(), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2*report.MaxBytes)) }, "too long"},
		"a header without an end": {l.leaf(), func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X", strings.Repeat("x", 1<<20)) }, "no proper HTTP"},
		"a count below zero":      {l.leaf(), func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"unattributed": -1}`)) }, "below zero"},
		"a text of a million": {l.leaf(), func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"build": "` + strings.Repeat("x", 9999) + `"}`))
		}, "too long a list or text"},
		"a connection that is cut": {l.leaf(), func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "no proper HTTP"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			l.airlock(podAddress, test.certificate, test.answer)
			_, err := l.asker.fetch(t.Context(), podAddress, lisID)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), podAddress) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
	l.put(podAddress+":15091", "")
	if _, err := l.asker.fetch(t.Context(), podAddress, lisID); err == nil || !strings.Contains(err.Error(), "no connection") {
		t.Errorf("nobody there: %v", err)
	}
	if l.dialled("10.9.9.9:443") > 0 {
		t.Error("it was led elsewhere")
	}
}

func TestWhoSaysNothingIsNotWaitedForForLong(t *testing.T) {
	l := newLab(t)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }() // the kernel takes connections, and nobody answers them
	l.put(podAddress+":15091", listener.Addr().String())
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := l.asker.fetch(ctx, podAddress, lisID); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("got %v", err)
	}
}

func TestOldTLSAndWhoRefusesLabguardAreNamed(t *testing.T) {
	l := newLab(t)
	for name, test := range map[string]struct {
		config *tls.Config
		want   string
	}{
		"TLS 1.2":                  {&tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{l.leaf()}}, "or TLS 1.3"}, //nolint:gosec // what is to be refused
		"labguard is not believed": {&tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{l.leaf()}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: x509.NewCertPool()}, "refuses labguard's certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := tls.Listen("tcp", "127.0.0.1:0", test.config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = listener.Close() }()
			go func() {
				for connection, err := listener.Accept(); err == nil; connection, err = listener.Accept() {
					_, _ = connection.Read(make([]byte, 1))
				}
			}()
			l.put(podAddress+":15091", listener.Addr().String())
			if _, err := l.asker.fetch(t.Context(), podAddress, lisID); err == nil || !strings.Contains(err.Error(), test.want) && !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %q", err, test.want)
			}
		})
	}
}

func TestARootThatLeavesIsBelievedUntilItHasLeft(t *testing.T) {
	l := newLab(t)
	l.airlock(podAddress, l.leaf(), says(report.Report{}))
	fresh := pki.NewAuthorityAt(t, "new", now)
	l.roots = l.root.Text() + fresh.Text()
	if _, err := l.asker.fetch(t.Context(), podAddress, lisID); err != nil {
		t.Error(err)
	}
	l.roots = fresh.Text()
	if _, err := l.asker.fetch(t.Context(), podAddress, lisID); err == nil {
		t.Error("believed though its root has left")
	}
	l.roots = ""
	if _, err := l.asker.fetch(t.Context(), podAddress, lisID); err == nil || !strings.Contains(err.Error(), "NoTrust") {
		t.Errorf("no roots at all: %v", err)
	}
}

func TestAddressesThatAreNoPodsAreNotDialled(t *testing.T) {
	l := newLab(t)
	l.asker.config.Refused = []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24")}
	bad := []string{
		"127.0.0.1", "127.0.64.1", "::1", "::ffff:127.0.0.1", "169.254.169.254", "fe80::1", "fe80::1%eth0", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "",
		"lis.lab", "10.1.2.3:80", "fd00:ec2::254", "192.168.7.9", "::ffff:192.168.7.9",
	}
	for _, address := range bad {
		l.asker.Watch(lis, []posture.AirlockTarget{target("a", func(one *posture.AirlockTarget) {
			one.Addresses, one.ClosedPorts = []string{address}, []int32{2575}
		})})
		for _, one := range l.asker.takeDue() {
			l.asker.visit(t.Context(), one)
		}
		facts := l.asker.Facts(lis)["a"]
		if facts.Failure == "" || !facts.ReportedAt.IsZero() || len(facts.Probes) > 0 {
			t.Errorf("%q: %+v", address, facts)
		}
		l.asker.Watch(lis, nil)
	}
	if len(l.dials) > 0 {
		t.Errorf("dialled %v", l.dials)
	}
}

func TestAPodThatComesBackIsAskedAtOnce(t *testing.T) {
	l := newLab(t)
	l.airlock(podAddress, l.leaf(), says(report.Report{Build: "first"}))
	l.start()
	l.asker.Watch(lis, []posture.AirlockTarget{target("a", nil)})
	<-l.changed
	l.settle()
	l.airlock(podAddress, l.leaf(), says(report.Report{Build: "second"}))
	l.asker.Watch(lis, []posture.AirlockTarget{target("b", nil)})
	if facts := l.asker.Facts(lis)["b"]; !facts.ReportedAt.IsZero() && facts.Report.Build != "second" {
		t.Errorf("what the pod before has said is believed of this one: %+v", facts)
	}
	<-l.changed
	facts := l.asker.Facts(lis)
	if len(facts) != 1 || facts["b"].Report.Build != "second" {
		t.Errorf("known: %+v", facts)
	}
}

func TestAPodThatDoesNotAnswerIsAskedOftenWhileItIsNewAndKeepsWhatItSaid(t *testing.T) {
	l := newLab(t)
	l.start()
	l.asker.Watch(lis, []posture.AirlockTarget{target("a", nil)})
	<-l.changed
	l.pass(time.Minute)
	if got := l.dialled(podAddress + ":15091"); got < 19 || got > 22 {
		t.Errorf("asked %d times in its first minute", got)
	}
	l.airlock(podAddress, l.leaf(), says(report.Report{Build: "1"}))
	l.pass(30 * time.Second)
	l.put(podAddress+":15091", "")
	l.pass(10 * time.Minute)
	before := l.dialled(podAddress + ":15091")
	l.pass(10 * time.Minute)
	if got := l.dialled(podAddress+":15091") - before; got < 4 || got > 6 {
		t.Errorf("asked %d times in ten minutes of silence", got)
	}
	facts := l.asker.Facts(lis)["a"]
	if facts.Report.Build != "1" || facts.Failure == "" || l.clock.Now().Sub(facts.ReportedAt) < 15*time.Minute {
		t.Errorf("known: %+v", facts)
	}
	if got := testutil.ToFloat64(metrics.Airlocks.WithLabelValues(metrics.AirlockSilent)); got != 1 {
		t.Errorf("%v airlocks are silent", got)
	}
}

func TestNoMoreThanSixteenAreAskedAtOnce(t *testing.T) {
	l := newLab(t)
	var running, most atomic.Int32
	release := make(chan struct{})
	var targets []posture.AirlockTarget
	leaf := l.leaf()
	l.airlock(podAddress, leaf, func(w http.ResponseWriter, _ *http.Request) {
		most.Store(max(most.Load(), running.Add(1)))
		<-release
		running.Add(-1)
		_, _ = w.Write([]byte("{}"))
	})
	place := l.places[podAddress+":15091"]
	for i := range 50 {
		address := fmt.Sprintf("10.1.3.%d", i+1)
		l.put(address+":15091", place)
		targets = append(targets, target(address, func(one *posture.AirlockTarget) { one.Addresses = []string{address} }))
	}
	l.start()
	l.asker.Watch(lis, targets)
	l.until("sixteen questions", func() bool { return running.Load() == atOnce })
	close(release)
	l.until("all answers", func() bool {
		for _, facts := range l.asker.Facts(lis) {
			if facts.ReportedAt.IsZero() {
				return false
			}
		}
		return true
	})
	if got := most.Load(); got != atOnce {
		t.Errorf("%d at once", got)
	}
}

func TestWithoutAnIdentityNobodyIsDialled(t *testing.T) {
	l := newLab(t)
	l.asker.config.Identity = func() (*tls.Certificate, error) { return nil, errors.New("tls.crt cannot be read yet") }
	if _, err := l.asker.fetch(t.Context(), podAddress, lisID); err == nil || err.Error() != "labguard has no identity: tls.crt cannot be read yet" {
		t.Errorf("got %v", err)
	}
	if len(l.dials) > 0 {
		t.Errorf("dialled %v", l.dials)
	}
	if !l.asker.NeedLeaderElection() {
		t.Error("every replica would ask")
	}
}
