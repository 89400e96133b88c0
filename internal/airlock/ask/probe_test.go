// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ask

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	testclock "k8s.io/utils/clock/testing"

	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/posture"
)

const secondAddress = "fd00::3"

// serving is an airlock whose application listens.
var serving = report.Report{Ports: []report.Port{{Port: 2575, Listening: report.Node}}}

func closed(one *posture.AirlockTarget) {
	one.Addresses, one.ClosedPorts = []string{podAddress, secondAddress}, []int32{2575}
}

func TestClosedPortsAreTriedBesideAControlAndSaidNothingTo(t *testing.T) {
	l := newLab(t)
	l.airlock(podAddress, l.leaf(), says(serving))
	l.airlock(secondAddress, l.leaf(), says(serving))
	heard := make(chan int, 100)
	l.heard["["+secondAddress+"]:2575"] = heard
	l.start()
	l.asker.Watch(lis, []posture.AirlockTarget{target("a", closed)})
	<-l.changed
	want := []posture.Probe{
		{Address: podAddress, Port: 2575, At: now, Control: true, Vantage: "node-1"},
		{Address: secondAddress, Port: 2575, At: now, Reached: true, Control: true, Vantage: "node-1"},
	}
	if diff := cmp.Diff(want, l.asker.Facts(lis)["a"].Probes); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
	if got := <-heard; got != 0 {
		t.Errorf("sent %d bytes to the port of an application", got)
	}
	l.pass(29 * time.Minute)
	if got := l.dialled(podAddress + ":2575"); got != 3 {
		t.Errorf("tried %d times in 29 minutes", got)
	}
	if got := l.dialled("[" + secondAddress + "]:15091"); got != 3 {
		t.Errorf("the second address was asked %d times, and it is only needed as a control", got)
	}
	l.asker.Watch(lis, []posture.AirlockTarget{target("a", nil)})
	if got := l.asker.Facts(lis)["a"].Probes; len(got) > 0 {
		t.Errorf("tries of ports that need not be closed are still known: %v", got)
	}
}

func TestWithoutAControlOfTheSameAddressNotReachingShowsNothing(t *testing.T) {
	l := newLab(t)
	l.airlock(podAddress, l.leaf(), says(serving))
	l.start()
	l.asker.Watch(lis, []posture.AirlockTarget{target("a", func(one *posture.AirlockTarget) {
		closed(one)
		one.Node = "node-1"
	})})
	<-l.changed
	want := []posture.Probe{
		{Address: podAddress, Port: 2575, At: now, Control: true, Vantage: "node-1", SameNode: true},
		{Address: secondAddress, Port: 2575, At: now, Vantage: "node-1", SameNode: true},
	}
	if diff := cmp.Diff(want, l.asker.Facts(lis)["a"].Probes); diff != "" {
		t.Errorf("probes (-want +got):\n%s", diff)
	}
}

func TestNothingIsTriedWhereNothingAnswers(t *testing.T) {
	l := newLab(t)
	l.start()
	l.asker.Watch(lis, []posture.AirlockTarget{target("a", closed)})
	<-l.changed
	l.pass(time.Minute)
	if got := l.dialled(podAddress + ":2575"); got > 0 {
		t.Errorf("tried %d times", got)
	}
	// Once it answers, its ports are tried at once.
	l.airlock(podAddress, l.leaf(), says(serving))
	l.pass(5 * time.Second)
	if got := l.dialled(podAddress + ":2575"); got != 1 {
		t.Errorf("tried %d times", got)
	}
}

func TestAPortThatIsToBeClosedFromNowOnIsTriedAtOnce(t *testing.T) {
	l := newLab(t)
	l.airlock(podAddress, l.leaf(), says(serving))
	l.start()
	l.asker.Watch(lis, []posture.AirlockTarget{target("a", nil)})
	<-l.changed
	l.settle()
	l.asker.Watch(lis, []posture.AirlockTarget{target("a", func(one *posture.AirlockTarget) { one.ClosedPorts = []int32{2575} })})
	<-l.changed
	if got := l.asker.Facts(lis)["a"].Probes; len(got) != 1 || !got[0].Control {
		t.Errorf("probes %v", got)
	}
}

// A try that fails before anything leaves labguard says nothing of the network.
func TestATryThatFailsOnOurSideShowsNothing(t *testing.T) {
	tests := map[string]struct {
		failure error
		shows   bool
	}{
		"no file is left":    {syscall.EMFILE, false},
		"our own rules":      {syscall.EPERM, false},
		"it was refused":     {syscall.ECONNREFUSED, true},
		"nothing comes back": {context.DeadlineExceeded, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			asker := New(Config{Clock: testclock.NewFakeClock(now), Dial: func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.OpError{Op: "dial", Err: os.NewSyscallError("connect", test.failure)}
			}})
			due := []posture.Probe{{Address: podAddress, Port: 2575}}
			got := asker.try(t.Context(), target("a", closed), nil, due, map[string]time.Time{podAddress: now})
			if len(got) != 1 || got[0].Reached || got[0].Control != test.shows {
				t.Errorf("%+v, want control %t", got, test.shows)
			}
		})
	}
}

// A port at which nothing listens is closed by nobody: that it was not reached is no evidence.
func TestOnlyPortsThatListenAreTried(t *testing.T) {
	tests := map[string]struct {
		said  []report.Port
		tried int
	}{
		"it listens":                        {serving.Ports, 1},
		"it listens on loopback":            {[]report.Port{{Port: 2575, Listening: report.Loopback}}, 1},
		"it does not listen yet":            {[]report.Port{{Port: 2575}}, 0},
		"airlock does not know of the port": {[]report.Port{{Port: 80, Listening: report.Node}}, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if due := listening([]posture.Probe{{Address: podAddress, Port: 2575}}, report.Report{Ports: test.said}); len(due) != test.tried {
				t.Errorf("%d tries, want %d", len(due), test.tried)
			}
		})
	}
}
