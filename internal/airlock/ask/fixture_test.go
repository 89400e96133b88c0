// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/testutil/pki"
)

const (
	domain     = "lab.example"
	lisID      = "spiffe://lab.example/ns/lab/labworkload/lis"
	operatorID = "spiffe://lab.example/labguard/operator"
	podAddress = "10.1.2.3"
)

var (
	now = time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	lis = types.NamespacedName{Namespace: "lab", Name: "lis"}
)

// network is the pods' network: what answers at which address and port.
type network struct {
	lock   sync.Mutex
	places map[string]string
	dials  map[string]int
	// silent are places whose connections say what they were sent.
	heard map[string]chan int
}

func (n *network) dial(ctx context.Context, kind, address string) (net.Conn, error) {
	n.lock.Lock()
	n.dials[address]++
	place, heard := n.places[address], n.heard[address]
	n.lock.Unlock()
	switch {
	case heard != nil:
		ours, theirs := net.Pipe()
		go func() {
			got, _ := io.Copy(io.Discard, theirs)
			heard <- int(got)
		}()
		return ours, nil
	case place == "":
		return nil, &net.OpError{Op: "dial", Net: kind, Err: errors.New("refused")}
	default:
		return (&net.Dialer{}).DialContext(ctx, kind, place)
	}
}

func (n *network) dialled(address string) int {
	n.lock.Lock()
	defer n.lock.Unlock()
	return n.dials[address]
}

func (n *network) put(address, place string) {
	n.lock.Lock()
	defer n.lock.Unlock()
	n.places[address] = place
}

// lab is an Asker with a fake clock and a network of its own.
type lab struct {
	*testing.T
	*network
	asker *Asker
	clock *clocktesting.FakeClock
	root  *pki.Authority
	// roots is what is trusted; changed are the workloads that were told of.
	roots   string
	changed chan types.NamespacedName
}

func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{
		T: t, network: &network{places: map[string]string{}, dials: map[string]int{}, heard: map[string]chan int{}},
		clock: clocktesting.NewFakeClock(now), root: pki.NewAuthorityAt(t, "root", now), changed: make(chan types.NamespacedName, 1000),
	}
	l.roots = l.root.Text()
	operator := l.root.Issue(pki.Leaf{URIs: []string{operatorID}, NotBefore: now.Add(-time.Hour)}).TLS(t)
	l.asker = New(Config{
		Clock: l.clock, Random: func() float64 { return 0.5 }, Identity: func() (*tls.Certificate, error) { return &operator, nil },
		TrustDomain: domain, Roots: func() string { return l.roots }, Vantage: "node-1", Dial: l.dial,
	})
	l.asker.Notify(func(workload types.NamespacedName) { l.changed <- workload })
	return l
}

// leaf is a certificate as an airlock of the LIS has it.
func (l *lab) leaf() tls.Certificate {
	return l.root.Issue(pki.Leaf{URIs: []string{lisID}, NotBefore: now.Add(-time.Hour)}).TLS(l)
}

// airlock answers at the admin port of an address.
func (l *lab) airlock(address string, certificate tls.Certificate, answer http.HandlerFunc) {
	l.Helper()
	server := httptest.NewUnstartedServer(answer)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	l.Cleanup(server.Close)
	l.put(net.JoinHostPort(address, "15091"), server.Listener.Addr().String())
}

// says answers with a report, to the operator alone.
func says(said report.Report) http.HandlerFunc {
	return func(writer http.ResponseWriter, request *http.Request) {
		if request.URL.Path != report.Path || request.TLS.PeerCertificates[0].URIs[0].String() != operatorID {
			writer.WriteHeader(http.StatusForbidden)
			return
		}
		_ = json.NewEncoder(writer).Encode(said)
	}
}

// start runs the asker until the test ends.
func (l *lab) start() {
	ctx, cancel := context.WithCancel(l.Context())
	done := make(chan error, 1)
	go func() { done <- l.asker.Start(ctx) }()
	l.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			l.Error(err)
		}
	})
}

// pass lets time pass, second by second, so that nobody's turn is left out.
func (l *lab) pass(duration time.Duration) {
	l.Helper()
	for range int(duration / time.Second) {
		l.settle()
		l.clock.Step(time.Second)
	}
	l.settle()
}

// settle waits until nobody is being asked and the loop waits for the clock.
func (l *lab) settle() {
	l.Helper()
	l.until("the asker to rest", func() bool {
		l.asker.lock.Lock()
		defer l.asker.lock.Unlock()
		for _, pods := range l.asker.pods {
			for _, one := range pods {
				if one.asking || !one.due.After(l.clock.Now()) {
					return false
				}
			}
		}
		return l.clock.HasWaiters() && len(l.asker.wake) == 0
	})
}

func (l *lab) until(what string, holds func() bool) {
	l.Helper()
	err := wait.PollUntilContextTimeout(l.Context(), time.Millisecond, 20*time.Second, true, func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		l.Fatalf("waited in vain for %s", what)
	}
}

func target(uid string, change func(*posture.AirlockTarget)) posture.AirlockTarget {
	one := posture.AirlockTarget{
		Pod: types.NamespacedName{Namespace: "lab", Name: "lis-0"}, UID: types.UID(uid), Node: "node-2", Addresses: []string{podAddress}, ID: lisID,
	}
	if change != nil {
		change(&one)
	}
	return one
}
