// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/utils/clock"
)

// journal is a log that a test reads while it is written.
type journal struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mutex.Lock()
	defer j.mutex.Unlock()
	return j.text.String()
}

// started is a program that runs until stop, which gives what it returned.
type started struct {
	address string
	stop    func() error
}

func run(t *testing.T, address string, serve func(context.Context, net.Listener) error) started {
	t.Helper()
	at, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, at) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return started{address: at.Addr().String(), stop: stop}
}

func runReceiver(t *testing.T, address string, r *Receiver) started {
	return run(t, address, func(ctx context.Context, at net.Listener) error { return Serve(ctx, at, r.Session) })
}

func newLoad(t *testing.T, connections int, sender func() Sender) *Load {
	t.Helper()
	l := &Load{Prefix: "load", Connections: connections, Clock: clock.RealClock{}, NewSender: sender}
	l.Start(t.Context())
	return l
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !holds() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 20 s: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func verify(t *testing.T, balance Balance, logs ...*journal) Result {
	t.Helper()
	readers := make([]io.Reader, 0, len(logs))
	for _, log := range logs {
		readers = append(readers, strings.NewReader(log.String()))
	}
	result, err := Verify(readers, balance)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// A load through an engine to a server: nothing lost, nothing doubled, over HTTP as over MLLP.
func TestLoadThroughEngine(t *testing.T) {
	var log journal
	receiver := NewReceiver(&log, clock.RealClock{})
	server := runReceiver(t, "127.0.0.1:0", receiver)
	between := run(t, "127.0.0.1:0", func(ctx context.Context, at net.Listener) error {
		return Serve(ctx, at, Engine{Upstream: server.address, Clock: clock.RealClock{}}.Session)
	})
	l := newLoad(t, 4, func() Sender { return MLLPSender(between.address, clock.RealClock{}) })
	until(t, "100 messages", func() bool { return l.Balance().Acknowledged >= 100 })

	control := httptest.NewServer(l)
	defer control.Close()
	var balance Balance
	for _, path := range []string{"/stats", "/stop"} {
		response, err := http.Get(control.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		err = json.NewDecoder(response.Body).Decode(&balance)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if !balance.Stopped || balance.Sent != balance.Acknowledged || balance.Errors+balance.Resent != 0 || balance.Unanswered != nil {
		t.Errorf("balance %+v", balance)
	}
	if result := verify(t, balance, &log); !result.Clean() || result.Processed != balance.Acknowledged {
		t.Errorf("%v of %+v", result, balance)
	}
	if err := errors.Join(between.stop(), server.stop()); err != nil {
		t.Error(err)
	}
	if processed, doubled := receiver.Totals(); processed != balance.Acknowledged || doubled != 0 {
		t.Errorf("%d processed, %d doubled", processed, doubled)
	}
}

// A server that is replaced under load finishes what it has begun, so no message is doubled, and the next one takes the rest.
func TestReplacedServer(t *testing.T) {
	var logs []*journal
	next := func(address string) started {
		log := &journal{}
		logs = append(logs, log)
		return runReceiver(t, address, NewReceiver(log, clock.RealClock{}))
	}
	server := next("127.0.0.1:0")
	address := server.address
	l := newLoad(t, 8, func() Sender { return MLLPSender(address, clock.RealClock{}) })
	for range 5 {
		before := l.Balance().Acknowledged
		until(t, "more messages", func() bool { return l.Balance().Acknowledged > before+50 })
		if err := server.stop(); err != nil {
			t.Fatal(err)
		}
		server = next(address)
	}
	balance := l.Stop()
	if result := verify(t, balance, logs...); !result.Clean() {
		t.Errorf("%v of %+v", result, balance)
	}
	if balance.Resent == 0 || balance.LongestGap < retryPause.Milliseconds()/2 {
		t.Errorf("the server was not away: %+v", balance)
	}
}

// A message whose acknowledgement is lost on the way is sent again under the same ID, and shows as doubled.
func TestDoubledIsSeen(t *testing.T) {
	var log journal
	receiver := NewReceiver(&log, clock.RealClock{})
	var dropped atomic.Bool
	server := run(t, "127.0.0.1:0", func(ctx context.Context, at net.Listener) error {
		return Serve(ctx, at, func() Session { return forgetful{receiver.Session(), &dropped} })
	})
	l := newLoad(t, 1, func() Sender { return MLLPSender(server.address, clock.RealClock{}) })
	until(t, "the second attempt", func() bool { return l.Balance().Acknowledged > 0 })
	balance := l.Stop()
	result := verify(t, balance, &log)
	if len(result.Doubled) != 1 || result.Doubled[0] != "load-0-1" || balance.Resent != 1 || result.Clean() {
		t.Errorf("%v of %+v", result, balance)
	}
}

type forgetful struct {
	Session
	dropped *atomic.Bool
}

func (f forgetful) Handle(ctx context.Context, message []byte) ([]byte, error) {
	answer, err := f.Session.Handle(ctx, message)
	if f.dropped.CompareAndSwap(false, true) {
		return nil, io.ErrClosedPipe
	}
	return answer, err
}

// What was acknowledged and is in no log is lost.
func TestLostIsSeen(t *testing.T) {
	log := strings.NewReader("processed a-0-1\nprocessed a-0-2\ndoubled a-0-2\n{\"processed\":3}\nprocessed a-1-1\n")
	result, err := Verify([]io.Reader{log}, Balance{Prefix: "a", Last: []int{3, 1}})
	if err != nil || result.String() != "3 processed, 1 lost [a-0-3], 1 doubled [a-0-2]" {
		t.Errorf("%v, %v", result, err)
	}
}

// A server that ends answers the message at hand, closes who waits, and accepts nobody.
func TestServerDrains(t *testing.T) {
	hold, begun := make(chan struct{}), make(chan struct{})
	server := run(t, "127.0.0.1:0", func(ctx context.Context, at net.Listener) error {
		return Serve(ctx, at, func() Session { return slow{begun, hold} })
	})
	idle, err := net.Dial("tcp", server.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = idle.Close() }()
	answered := make(chan error, 1)
	go func() { answered <- MLLPSender(server.address, clock.RealClock{}).Send(t.Context(), "held") }()
	<-begun
	stopped := make(chan error, 1)
	go func() { stopped <- server.stop() }()
	if _, err := idle.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the idle connection: %v", err)
	}
	if _, err := net.Dial("tcp", server.address); err == nil {
		t.Error("a new connection was accepted")
	}
	select {
	case err := <-stopped:
		t.Errorf("it ended before the answer: %v", err)
	default:
	}
	close(hold)
	if err := errors.Join(<-answered, <-stopped); err != nil {
		t.Error(err)
	}
}

type slow struct {
	begun chan<- struct{}
	hold  <-chan struct{}
}

func (s slow) Handle(_ context.Context, message []byte) ([]byte, error) {
	close(s.begun)
	<-s.hold
	return Acknowledge(message, "AA", noon)
}

func (s slow) Close() error { return nil }

// Negative acknowledgements and answers about another message are no acknowledgements.
func TestSenderRefuses(t *testing.T) {
	for _, answer := range []string{"MSH|^~\\&\rMSA|AE|x\r", "MSH|^~\\&\rMSA|AA|other\r", "garbage"} {
		at, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			accepted, err := at.Accept()
			if err != nil {
				return
			}
			_, _ = ReadMessage(bufio.NewReader(accepted))
			_ = WriteMessage(accepted, []byte(answer))
		}()
		if err := MLLPSender(at.Addr().String(), clock.RealClock{}).Send(t.Context(), "x"); err == nil {
			t.Errorf("%q was an acknowledgement", answer)
		}
		_ = at.Close()
	}
}

func TestWeb(t *testing.T) {
	var log journal
	receiver := NewReceiver(&log, clock.RealClock{})
	server := run(t, "127.0.0.1:0", func(ctx context.Context, at net.Listener) error { return ServeWeb(ctx, at, receiver.WebHandler()) })
	l := newLoad(t, 2, func() Sender { return WebSender(server.address) })
	until(t, "20 messages", func() bool { return l.Balance().Acknowledged >= 20 })
	balance := l.Stop()
	if err := server.stop(); err != nil {
		t.Error(err)
	}
	if result := verify(t, balance, &log); !result.Clean() || balance.Errors != 0 {
		t.Errorf("%v of %+v", result, balance)
	}
}

func TestBanner(t *testing.T) {
	server := run(t, "127.0.0.1:0", ServeBanner)
	if err := BannerSender(t.Context(), server.address, "hello"); err != nil {
		t.Error(err)
	}
	if err := server.stop(); err != nil {
		t.Error(err)
	}
	if err := BannerSender(t.Context(), server.address, "hello"); err == nil {
		t.Error("nobody is there")
	}
}

func TestPrint(t *testing.T) {
	l := newLoad(t, 1, func() Sender { return MLLPSender("127.0.0.1:1", clock.RealClock{}) })
	var out journal
	printed := make(chan error, 1)
	go func() { printed <- l.Print(&out) }()
	until(t, "an error", func() bool { return l.Balance().Errors > 0 })
	balance := l.Stop()
	if err := <-printed; err != nil {
		t.Fatal(err)
	}
	if balance.Acknowledged != 0 || len(balance.Unanswered) != 1 || !strings.Contains(out.String(), `"stopped":true`) {
		t.Errorf("balance %+v, printed %s", balance, out.String())
	}
}
