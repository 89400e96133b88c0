// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/labguard/labguard/internal/registry"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/operator"
)

const (
	day = 24 * time.Hour
	// quickly is the pace of what a lab does not wait for in these tests: the memory of tags and of failures, and the samples of the canary.
	quickly = 200 * time.Millisecond
	// walksAtOnce is how many walks go on at the same time: they wait for controllers most of the time.
	walksAtOnce = 20
)

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

func runTests(m *testing.M) int {
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(walksAtOnce)); err != nil {
		fmt.Fprintf(os.Stderr, "let walks go on side by side: %v\n", err)
		return 1
	}
	ctrl.SetLogger(zap.New(zap.WriteTo(&processLog)))
	return cluster.Main(m, cluster.WithCRDs("../../config/crd/bases"))
}

// jumpingClock runs as the real one does, and jumps ahead when it is told to: labguard compares its clock with instants of the API server too.
type jumpingClock struct {
	clock.RealClock
	ahead atomic.Int64
}

// Now is the real time and all jumps.
func (c *jumpingClock) Now() time.Time { return c.RealClock.Now().Add(c.offset()) }

// Since is how long ago an instant was by this clock.
func (c *jumpingClock) Since(at time.Time) time.Duration { return c.Now().Sub(at) }

func (c *jumpingClock) offset() time.Duration { return time.Duration(c.ahead.Load()) }

func (c *jumpingClock) jump(by time.Duration) { c.ahead.Add(int64(by)) }

// push puts an image that is so old by this clock into the registry of the cluster and returns its reference.
func (c *jumpingClock) push(t testing.TB, repositoryAndTag string, age time.Duration) string {
	t.Helper()
	return operator.Push(t, repositoryAndTag, age-c.offset())
}

// process is a whole manager that runs in this process, as labguard's ServiceAccount with the rights of config/rbac and nothing else.
type process struct {
	clock *jumpingClock
	// more is put behind the usual configuration.
	more  string
	stop  context.CancelFunc
	ended chan error
}

// address is where the webhooks listen and where readiness is told, the same for every manager of this process, one after the other.
var address = sync.OnceValues(func() ([2]int, error) {
	var ports [2]int
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return ports, err
		}
		defer func() { _ = listener.Close() }()
		tcp, _ := listener.Addr().(*net.TCPAddr)
		ports[i] = tcp.Port
	}
	return ports, nil
})

// startProcess runs a manager until the test ends and waits until it is ready.
func startProcess(t *testing.T) *process {
	t.Helper()
	return startConfigured(t, "")
}

// startConfigured is startProcess with more configuration.
func startConfigured(t *testing.T, more string) *process {
	t.Helper()
	operator.Install(t)
	p := &process{clock: &jumpingClock{}, more: more}
	t.Cleanup(func() {
		p.end(t)
		// An event about a namespace that is being deleted is forbidden as well; what a right is missing for says who cannot do what.
		if processLog.has(`labguard\" cannot `) {
			t.Error("labguard misses rights")
		}
		if t.Failed() {
			t.Logf("the last words of the manager:\n%s", processLog.tail())
		}
	})
	p.start(t)
	return p
}

// start runs the manager, again after end, and waits until it is ready.
func (p *process) start(t *testing.T) {
	t.Helper()
	ports, err := address()
	if err != nil {
		t.Fatalf("find free ports: %v", err)
	}
	options := defaultOptions()
	options.webhookURL, options.webhookHost, options.webhookPort = fmt.Sprintf("https://localhost:%d", ports[0]), "127.0.0.1", ports[0]
	options.metrics, options.probes, options.leaderElect = "0", fmt.Sprintf("127.0.0.1:%d", ports[1]), false
	if err := options.validate(); err != nil {
		t.Fatal(err)
	}
	config, err := readConfiguration(written(t, operator.Configuration()+p.more))
	if err != nil {
		t.Fatal(err)
	}
	parts := &parts{
		options: options, config: config, rest: cluster.ServiceAccountConfig(t, "labguard-system", "labguard"), clock: p.clock,
		limits: registry.Config{TagTTL: quickly, NegativeTTL: quickly}, sampleEvery: quickly,
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	p.stop, p.ended = stop, make(chan error, 1)
	go func(ended chan error) { ended <- parts.run(ctx) }(p.ended)
	operator.Eventually(t, "the manager is ready", func() error { return p.ready(ctx, ports[1]) })
}

func (p *process) ready(ctx context.Context, port int) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/readyz", port), http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("it says %s", response.Status)
	}
	_ = response.Body.Close()
	return err
}

// end stops the manager and waits until it is gone.
func (p *process) end(t *testing.T) {
	t.Helper()
	if p.stop == nil {
		return
	}
	p.stop()
	p.stop = nil
	if err := <-p.ended; err != nil {
		t.Errorf("the manager ended: %v", err)
	}
}

// words keeps what was written last.
type words struct {
	lock sync.Mutex
	kept []byte
}

var processLog words

const keptBytes = 1 << 20

// Write never fails.
func (w *words) Write(line []byte) (int, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.kept = append(w.kept, line...)
	if over := len(w.kept) - keptBytes; over > 0 {
		w.kept = append([]byte{}, w.kept[over:]...)
	}
	return len(line), nil
}

// has says whether a text was written lately.
func (w *words) has(text string) bool {
	w.lock.Lock()
	defer w.lock.Unlock()
	return bytes.Contains(w.kept, []byte(text))
}

// tail are the last lines.
func (w *words) tail() string {
	w.lock.Lock()
	defer w.lock.Unlock()
	lines := strings.Split(string(w.kept), "\n")
	return strings.Join(lines[max(0, len(lines)-60):], "\n")
}
