// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"fmt"
	"io"
	"sync"

	"k8s.io/utils/clock"
)

// Words of the log of a Receiver, each before a control ID.
const (
	processedWord = "processed"
	doubledWord   = "doubled"
)

// maxRemembered is how many control IDs a Receiver knows again.
const maxRemembered = 1 << 21

// Receiver is the MLLP server: it logs each message on a line, then acknowledges it. Its log is the truth about what was processed.
type Receiver struct {
	log   io.Writer
	clock clock.PassiveClock

	mutex   sync.Mutex
	known   map[string]struct{}
	doubled int
}

// NewReceiver makes a Receiver.
func NewReceiver(log io.Writer, c clock.PassiveClock) *Receiver {
	return &Receiver{log: log, clock: c, known: map[string]struct{}{}}
}

// Session is for one connection.
func (r *Receiver) Session() Session { return receiving{r} }

// Totals are how many messages were processed, and how many of them again.
func (r *Receiver) Totals() (processed, doubled int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return len(r.known) + r.doubled, r.doubled
}

type receiving struct{ *Receiver }

// Close does nothing.
func (receiving) Close() error { return nil }

// Handle logs a message and acknowledges it.
func (r receiving) Handle(_ context.Context, message []byte) ([]byte, error) {
	id, err := ControlID(message)
	if err != nil {
		return nil, err
	}
	if err := r.process(id); err != nil {
		return nil, err
	}
	return Acknowledge(message, "AA", r.clock.Now())
}

func (r *Receiver) process(id string) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	word := processedWord
	if _, again := r.known[id]; again {
		word = doubledWord
		r.doubled++
	} else if len(r.known) < maxRemembered {
		r.known[id] = struct{}{}
	}
	_, err := fmt.Fprintf(r.log, "%s %s\n", word, id)
	return err
}
