// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// Balance is what a load has done so far. Connection i has sent the messages <Prefix>-<i>-1 to <Prefix>-<i>-<Last[i]>, and all of them are acknowledged.
type Balance struct {
	Prefix string `json:"prefix"`
	Last   []int  `json:"last"`
	// Sent counts messages, Acknowledged those of them with an answer, Resent how often one was sent again since no answer came, and Errors why.
	Sent         int `json:"sent"`
	Acknowledged int `json:"acked"`
	Resent       int `json:"resent"`
	Errors       int `json:"errors"`
	// LastError is the latest of them.
	LastError string `json:"lastError,omitempty"`
	// LongestGap is the longest time in milliseconds without any acknowledgement.
	LongestGap int64 `json:"longestGapMilliseconds"`
	// Stopped: nothing more is sent, and no answer is outstanding unless Unanswered names it: a message that may have been processed or not.
	Stopped    bool     `json:"stopped,omitempty"`
	Unanswered []string `json:"unanswered,omitempty"`
}

// Sender sends one message and returns once it is acknowledged. Each connection of a load has its own.
type Sender interface {
	Send(ctx context.Context, id string) error
	Close() error
}

// Load sends without pause over connections that each wait for the acknowledgement of one message before the next one.
type Load struct {
	// Prefix begins every control ID: unique among all loads of a test.
	Prefix      string
	Connections int
	// Pause is between two messages of a connection.
	Pause time.Duration
	Clock clock.Clock
	// NewSender opens a connection's Sender.
	NewSender func() Sender

	mutex    sync.Mutex
	balance  Balance
	latest   time.Time
	stopping context.CancelFunc
	ended    chan struct{}
}

// retryPause is between two attempts at one message.
const retryPause = 100 * time.Millisecond

// Start begins to send. It ends with the context, or with Stop.
func (l *Load) Start(ctx context.Context) {
	ctx, l.stopping = context.WithCancel(ctx)
	l.ended = make(chan struct{})
	l.balance = Balance{Prefix: l.Prefix, Last: make([]int, l.Connections)}
	l.latest = l.Clock.Now()
	var group sync.WaitGroup
	for i := range l.Connections {
		group.Go(func() { l.run(ctx, i) })
	}
	go func() {
		group.Wait()
		l.mutex.Lock()
		l.balance.Stopped = true
		l.mutex.Unlock()
		close(l.ended)
	}()
}

// Stop lets every message that was sent get its answer, and gives the final balance.
func (l *Load) Stop() Balance {
	l.stopping()
	<-l.ended
	return l.Balance()
}

// Ended is closed when the last connection has ended.
func (l *Load) Ended() <-chan struct{} { return l.ended }

// Balance is how it stands.
func (l *Load) Balance() Balance {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	now := l.balance
	now.Last = append([]int(nil), now.Last...)
	now.Unanswered = append([]string(nil), now.Unanswered...)
	if !now.Stopped {
		now.LongestGap = max(now.LongestGap, l.Clock.Since(l.latest).Milliseconds())
	}
	return now
}

func (l *Load) run(ctx context.Context, connection int) {
	sender := l.NewSender()
	defer func() { _ = sender.Close() }()
	// A message that was sent gets its time although the load stops.
	sending := context.WithoutCancel(ctx)
	for number := 1; ctx.Err() == nil; number++ {
		id := fmt.Sprintf("%s-%d-%d", l.Prefix, connection, number)
		l.count(func(b *Balance) { b.Sent++ })
		for attempt := 1; ; attempt++ {
			err := sender.Send(sending, id)
			if err == nil {
				l.acknowledge(connection, number)
				break
			}
			l.count(func(b *Balance) {
				b.Errors++
				b.LastError = err.Error()
			})
			if !l.wait(ctx, retryPause) && attempt > 1 {
				l.count(func(b *Balance) { b.Unanswered = append(b.Unanswered, id) })
				return
			}
			l.count(func(b *Balance) { b.Resent++ })
		}
		if l.Pause > 0 {
			l.wait(ctx, l.Pause)
		}
	}
}

func (l *Load) acknowledge(connection, number int) {
	l.count(func(b *Balance) {
		now := l.Clock.Now()
		b.Acknowledged++
		b.Last[connection] = number
		b.LongestGap = max(b.LongestGap, now.Sub(l.latest).Milliseconds())
		l.latest = now
	})
}

func (l *Load) count(change func(*Balance)) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	change(&l.balance)
}

// wait says whether the load goes on. One that ends waits all the same, so that a message gets a last attempt.
func (l *Load) wait(ctx context.Context, pause time.Duration) bool {
	timer := l.Clock.NewTimer(pause)
	defer timer.Stop()
	<-timer.C()
	return ctx.Err() == nil
}

// Print writes the balance as a line of JSON each second until the load has ended, and then once more.
func (l *Load) Print(w io.Writer) error {
	encoder := json.NewEncoder(w)
	for {
		timer := l.Clock.NewTimer(time.Second)
		select {
		case <-l.ended:
			timer.Stop()
			return encoder.Encode(l.Balance())
		case <-timer.C():
			if err := encoder.Encode(l.Balance()); err != nil {
				return err
			}
		}
	}
}

// ServeHTTP answers /stats with the balance, and /stop with the final one.
func (l *Load) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var balance Balance
	switch r.URL.Path {
	case "/stats":
		balance = l.Balance()
	case "/stop":
		balance = l.Stop()
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(balance); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// MLLPSender sends over MLLP and reconnects by itself.
func MLLPSender(address string, c clock.PassiveClock) Sender {
	return &mllpSender{caller{address: address, clock: c}}
}

type mllpSender struct{ caller }

// Send sends a message with an ID and waits for its acknowledgement.
func (s *mllpSender) Send(ctx context.Context, id string) error {
	return s.send(ctx, id, NewMessage(id, s.clock.Now()))
}
