// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

// queue orders fetches so that one registry never makes the images of another wait: each has a lane of its own with few fetches at once, lanes take
// turns, and no lane may fill the queue. It is not safe for concurrent use.
type queue struct {
	perHost, inAll, maxPending int

	lanes map[string]*lane
	// ready are the lanes with a fetch that may start, in the order of their turns.
	ready            []*lane
	pending, running int
}

// lane holds the fetches of one registry. It exists while there are any.
type lane struct {
	host    string
	waiting []*flight
	running int
	// isReady says that it is in the ready ones.
	isReady bool
	// slow is closed when somebody has waited for the host in vain; isSlow says that it is.
	slow   chan struct{}
	isSlow bool
}

func newQueue(config Config) queue {
	return queue{perHost: config.WorkersPerHost, inAll: config.Workers, maxPending: config.MaxPending, lanes: map[string]*lane{}}
}

// add has a fetch wait for its turn; false says that too many wait.
func (q *queue) add(f *flight) bool {
	l, found := q.lanes[f.host]
	if !found {
		l = &lane{host: f.host, slow: make(chan struct{})}
	}
	if q.pending >= q.maxPending || len(l.waiting)+l.running >= max(1, q.maxPending/2) {
		return false
	}
	q.lanes[f.host] = l
	f.lane = l
	l.waiting = append(l.waiting, f)
	q.pending++
	q.offer(l)
	return true
}

// next is the fetch that is to start now; nil if none may.
func (q *queue) next() *flight {
	if q.running >= q.inAll || len(q.ready) == 0 {
		return nil
	}
	l := q.ready[0]
	q.ready = q.ready[1:]
	l.isReady = false
	f := l.waiting[0]
	l.waiting[0] = nil
	l.waiting = l.waiting[1:]
	l.running++
	q.running++
	q.offer(l)
	return f
}

// done takes out a fetch that next has given.
func (q *queue) done(f *flight) {
	l := f.lane
	l.running--
	q.running--
	q.pending--
	q.offer(l)
	if l.running == 0 && len(l.waiting) == 0 {
		delete(q.lanes, l.host)
	}
}

func (q *queue) offer(l *lane) {
	if !l.isReady && len(l.waiting) > 0 && l.running < q.perHost {
		l.isReady = true
		q.ready = append(q.ready, l)
	}
}
