// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/report"
)

// files is a /proc/net that can change.
type files struct {
	mutex sync.Mutex
	now   fstest.MapFS
}

func (f *files) Open(name string) (fs.File, error) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	return f.now.Open(name)
}

func (f *files) set(name, content string) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	if f.now == nil {
		f.now = fstest.MapFS{}
	}
	f.now[name] = &fstest.MapFile{Data: []byte(content)}
}

// watched is a Watcher on files, one poll further at each step.
type watched struct {
	*Watcher
	files files
	clock *clocktesting.FakeClock
}

func newWatched(t *testing.T, changes ...func(*Options)) *watched {
	t.Helper()
	littleEndian(t)
	w := &watched{clock: clocktesting.NewFakeClock(epoch)}
	w.files.set("tcp", tcpFile)
	w.files.set("tcp6", tcp6File)
	w.files.set("snmp", snmpFile)
	w.files.set("route", routeFile)
	o := Options{Net: &w.files, Clock: w.clock, UserID: 64000, NodeAddresses: ParseNodeAddresses("10.9.0.30")}
	for _, change := range changes {
		change(&o)
	}
	w.Watcher = New(o)
	w.SetConfiguration(&config.Configuration{
		Ports: []config.Port{{Port: 2575, PlaintextPeers: []string{"10.9.0.40/32", "nonsense"}}, {Port: 104}}, ProbePorts: []int{2575},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	w.wait(t, 1)
	return w
}

func (w *watched) wait(t *testing.T, polls int64) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		w.mutex.Lock()
		done := w.ledger.polls >= polls || w.err != nil
		w.mutex.Unlock()
		if done && w.clock.HasWaiters() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("no poll")
		}
		<-time.After(time.Millisecond)
	}
}

func (w *watched) step(t *testing.T) {
	t.Helper()
	w.mutex.Lock()
	polls := w.ledger.polls
	w.mutex.Unlock()
	w.clock.Step(Interval)
	w.wait(t, polls+1)
}

func TestWatcherReports(t *testing.T) {
	w := newWatched(t)
	want := []report.Port{
		{
			Port: 2575, Listening: report.Node, Kubelet: 2, Declared: 1, UndeclaredTotal: 1,
			Undeclared: []report.PlaintextPeer{{Address: "fd09::30", LastSeen: epoch}},
		},
		{Port: 104},
	}
	if diff := cmp.Diff(want, w.Ports()); diff != "" {
		t.Errorf("Ports (-want +got):\n%s", diff)
	}
	if !w.WildcardListener(2575) || w.WildcardListener(104) || w.WildcardListener(2575+1<<16) {
		t.Error("WildcardListener")
	}
	// The gateway of the pod is an address of the node.
	w.mutex.Lock()
	if !w.node[netip.MustParseAddr("10.244.0.1")] {
		t.Error("the gateway is not known")
	}
	w.mutex.Unlock()
}

func TestWatcherSaysWhatFails(t *testing.T) {
	w := newWatched(t)
	before := w.Ports()
	w.files.set("tcp", "header\ngarbage\n")
	w.clock.Step(Interval)
	w.wait(t, 2)
	if err := w.Err(); err == nil || !strings.Contains(err.Error(), "tcp") {
		t.Errorf("Err() = %v", err)
	}
	if diff := cmp.Diff(before, w.Ports()); diff != "" {
		t.Error(diff)
	}
	w.files.set("tcp", strings.Replace(tcpFile, "0100007F:0A0F", "0100007F:0068", 1))
	w.mutex.Lock()
	w.err = nil
	w.mutex.Unlock()
	w.step(t)
	if err := w.Err(); err != nil {
		t.Errorf("Err() = %v", err)
	}
}

func TestListeningOnLoopbackAlone(t *testing.T) {
	w := newWatched(t)
	w.files.set("tcp", strings.Replace(tcpFile, "64000", " 1000", 1))
	w.files.set("tcp6", "header\n")
	w.step(t)
	if ports := w.Ports(); ports[0].Listening != report.Loopback || w.WildcardListener(2575) {
		t.Errorf("%+v", ports[0])
	}
}

// silent tells of nothing until it is closed.
type silent chan struct{}

func (s silent) Read([]byte) (int, error) {
	<-s
	return 0, fs.ErrClosed
}

func (s silent) Close() error {
	close(s)
	return nil
}

// slow is a clock by which everything takes a tenth of a second.
type slow struct{ clock.WithTicker }

func (slow) Since(time.Time) time.Duration { return time.Second / 10 }

// With events, a pod that has been there for a while is looked at less often, and so is one in which a look takes long. Without, each second counts.
func TestPollsBecomeFewer(t *testing.T) {
	told := func(o *Options) { o.Events = silent(make(chan struct{})) }
	late := func(o *Options) { o.Clock = slow{o.Clock} }
	for name, test := range map[string]struct {
		changes []func(*Options)
		want    int64
	}{
		"without events":               {nil, 1 + eager + lazy},
		"with events":                  {[]func(*Options){told}, 1 + eager + 1},
		"without events, and slow":     {[]func(*Options){late}, 1 + eager + lazy},
		"with events, slow: every 5th": {[]func(*Options){told, late}, 1 + 2 + (eager-lazy)/5 + 1 + 1}, // ticks 1 and 6, from 10 to 120, and 130
	} {
		t.Run(name, func(t *testing.T) {
			w := newWatched(t, test.changes...)
			for range eager + lazy {
				before := w.ticks.Load()
				w.clock.Step(Interval)
				for w.ticks.Load() == before {
					<-time.After(time.Millisecond)
				}
			}
			w.mutex.Lock()
			defer w.mutex.Unlock()
			if w.ledger.polls != test.want {
				t.Errorf("%d polls, want %d", w.ledger.polls, test.want)
			}
		})
	}
}

// At most MaxPeers are named, the latest first; the total counts all.
func TestManyPeers(t *testing.T) {
	w := newWatched(t)
	var table strings.Builder
	table.WriteString(tcpFile)
	const many = 2 * report.MaxPeers
	for i := range many {
		fmt.Fprintf(&table, " 9: 0A00090A:0A0F %02X01010A:9999 06 0:0 0:0 0 0 0 0\n", i)
	}
	w.files.set("tcp", table.String())
	w.step(t)
	seen := w.Ports()[0]
	if len(seen.Undeclared) != report.MaxPeers || seen.UndeclaredTotal != many+1 {
		t.Fatalf("%d named of %d", len(seen.Undeclared), seen.UndeclaredTotal)
	}
	if !seen.Undeclared[0].LastSeen.Equal(epoch.Add(Interval)) {
		t.Errorf("latest %v", seen.Undeclared[0])
	}
}

// Peers that there was no room for stay in the numbers, under the name that they had.
func TestForgottenPeers(t *testing.T) {
	w := newWatched(t)
	w.mutex.Lock()
	w.forget(peerKey{port: 2575, from: netip.MustParseAddr("10.9.0.40")}, peer{count: 5})
	w.forget(peerKey{port: 2575, from: netip.MustParseAddr("10.1.1.1")}, peer{count: 7})
	w.forget(peerKey{port: 80, from: netip.MustParseAddr("10.1.1.1")}, peer{count: 9})
	w.mutex.Unlock()
	if seen := w.Ports()[0]; seen.Declared != 6 || seen.UndeclaredTotal != 8 || len(seen.Undeclared) != 1 {
		t.Errorf("%+v", seen)
	}
}
