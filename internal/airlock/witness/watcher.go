// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package witness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/report"
)

// Interval is the time between two polls.
//
// The kernel walks the sockets of the whole node for a table of one network: 5 ms with 262,144 buckets. Where events tell of every connection anyway, a
// poll each second is for the start of a pod, when the application opens its ports: eager of them. After that one of lazy is enough. Sockets that wait for
// their end are rows too, and thousands of them make a poll take tenths of a second; so one that took long is followed by a pause of rest times as long, if
// events tell of what comes and goes in it, though of no more than lazy intervals.
const Interval = time.Second

const (
	eager = 120
	lazy  = 10
	rest  = 50
)

// gatewayFiles are where the default gateways of the pod are read.
var gatewayFiles = map[string]func(io.Reader) []netip.Addr{"route": readGateways4, "ipv6_route": readGateways6}

// maxDialed is how many connections Dialed holds between two polls.
const maxDialed = 1 << 14

// Options are what a Watcher stands on.
type Options struct {
	// Net is /proc/net: os.DirFS("/proc/net").
	Net fs.FS
	// Clock gives the ticks.
	Clock clock.WithTicker
	// UserID is the user that airlock runs as: config.UserID.
	UserID int
	// NodeAddresses are those of the node, from ParseNodeAddresses. The default gateways of the pod are added: with most network plugins they are
	// addresses of the node too, and where its probes come from.
	NodeAddresses []netip.Addr
	// Events is what Subscribe gave; nil if it failed.
	Events Events
}

// Watcher sees who talks to the ports of the application. All of its methods may be called at any time, by anybody.
type Watcher struct {
	net      fs.FS
	clock    clock.WithTicker
	events   Events
	queue    queue
	accepted atomic.Int64
	// ticks is how many ticks of the clock are done with.
	ticks atomic.Int64
	// rows is the memory of read, which one goroutine calls.
	rows []row

	mutex   sync.Mutex
	node    map[netip.Addr]bool
	ledger  *ledger
	ports   []watchedPort
	dialed  []pair
	dropped map[uint16]*tally
	err     error
}

// watchedPort is a port of the configuration, taken apart.
type watchedPort struct {
	port     uint16
	probed   bool
	declared []netip.Prefix
}

// tally is what was counted at a port for peers that are no longer remembered.
type tally struct {
	undeclared, declared, kubelet int64
}

// New makes a Watcher that has seen nothing yet.
func New(o Options) *Watcher {
	w := &Watcher{net: o.Net, clock: o.Clock, events: o.Events, node: map[netip.Addr]bool{}, dropped: map[uint16]*tally{}}
	w.ledger = newLedger(uint32(max(o.UserID, 0)), o.Events != nil, w.forget) //nolint:gosec // A user ID has 32 bits.
	for _, address := range o.NodeAddresses {
		w.node[address.Unmap()] = true
	}
	return w
}

// ParseNodeAddresses reads the value of config.HostIPsVariable: addresses with commas between them.
func ParseNodeAddresses(value string) []netip.Addr {
	var found []netip.Addr
	for word := range strings.SplitSeq(value, ",") {
		if address, err := netip.ParseAddr(strings.TrimSpace(word)); err == nil && len(found) < 16 {
			found = append(found, address.Unmap().WithZone(""))
		}
	}
	return found
}

// Run polls until the context ends. What fails is in Err; the next poll tries again.
func (w *Watcher) Run(ctx context.Context) error {
	filled := make(chan struct{})
	if w.events == nil {
		close(filled)
	} else {
		go func() {
			defer close(filled)
			if err := w.queue.fill(w.events); ctx.Err() == nil {
				w.fail(fmt.Errorf("read events: %w", err))
			}
		}()
	}
	w.findGateways()
	w.first()
	due := int64(0)
	ticker := w.clock.NewTicker(Interval)
	defer ticker.Stop()
	for tick := int64(1); ; tick++ {
		select {
		case <-ctx.Done():
			var err error
			if w.events != nil {
				err = w.events.Close()
			}
			<-filled
			return err
		case <-ticker.C():
			if w.events == nil || tick%lazy == 0 || tick <= eager && tick >= due {
				due = tick + pause(w.poll())
			}
			w.ticks.Store(tick)
		}
	}
}

func (w *Watcher) findGateways() {
	for name, read := range gatewayFiles {
		file, err := w.net.Open(name)
		if err != nil {
			continue
		}
		found := read(file)
		w.fail(file.Close())
		w.mutex.Lock()
		for _, gateway := range found {
			w.node[gateway] = true
		}
		w.mutex.Unlock()
	}
}

// first polls until the counter is the same before and after, so that the balance begins at 0. A machine that is too busy for it begins with the number
// before: too much unattributed and not too little.
func (w *Watcher) first() {
	const tries = 20
	for try := range tries {
		o, err := w.read()
		if err != nil {
			w.fail(err)
			return
		}
		after, err := w.readPassiveOpens()
		if err == nil && (after == o.passive || try == tries-1) {
			w.apply(o)
			return
		}
	}
}

// poll reads and takes in what there is. It returns how long that took.
func (w *Watcher) poll() time.Duration {
	began := w.clock.Now()
	o, err := w.read()
	if err != nil {
		w.fail(err)
		return 0
	}
	w.apply(o)
	return w.clock.Since(began)
}

// pause is for how many ticks of the clock nothing is read after a poll that took so long.
func pause(took time.Duration) int64 { return int64(rest * took / Interval) }

func (w *Watcher) apply(o observation) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if !w.ledger.events {
		o.dialed = w.dialed
	}
	w.dialed = nil
	w.ledger.observe(o)
	w.err = nil
}

// read reads the sources in the order that the ledger counts on: the counter, then the events, then the tables. A socket leaves its table before its event
// is told, so a row that is still there belongs to a connection that no event of this poll has ended.
func (w *Watcher) read() (observation, error) {
	o := observation{now: w.clock.Now()}
	var err error
	if o.passive, err = w.readPassiveOpens(); err != nil {
		return o, err
	}
	o.events = w.queue.take()
	w.rows = w.rows[:0]
	for _, name := range []string{"tcp", "tcp6"} {
		if err := w.readRows(name); err != nil {
			return o, err
		}
	}
	o.rows = w.rows
	o.accepted = w.accepted.Load()
	return o, nil
}

func (w *Watcher) readRows(name string) (err error) {
	file, err := w.net.Open(name)
	if errors.Is(err, fs.ErrNotExist) && name == "tcp6" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the socket table: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := readTable(file, func(r row) { w.rows = append(w.rows, r) }); err != nil {
		return fmt.Errorf("read the socket table %s: %w", name, err)
	}
	return nil
}

func (w *Watcher) readPassiveOpens() (n int64, err error) {
	file, err := w.net.Open("snmp")
	if err != nil {
		return 0, fmt.Errorf("open the counters: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	return readPassiveOpens(file)
}

func (w *Watcher) fail(err error) {
	if err == nil {
		return
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.err = err
}

// Err is why the latest poll saw nothing, or nil.
func (w *Watcher) Err() error {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.err
}

// Accepted tells of a connection that airlock itself has accepted, on whichever of its listeners.
func (w *Watcher) Accepted() { w.accepted.Add(1) }

// Dialed tells of a connection that airlock has opened to the application: the addresses are those of net.Conn. It counts where the kernel does not tell
// of ended sockets.
func (w *Watcher) Dialed(local, remote netip.AddrPort) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.ledger.events || len(w.dialed) >= maxDialed {
		return
	}
	w.dialed = append(w.dialed, pair{server: unmap(remote), client: unmap(local)})
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// SetConfiguration says which ports matter, who is declared at them and which ones the kubelet probes. It changes the names of what was seen before too:
// a peer that is declared now is no undeclared one any more.
func (w *Watcher) SetConfiguration(c *config.Configuration) {
	ports := make([]watchedPort, 0, len(c.Ports))
	for _, port := range c.Ports {
		watched := watchedPort{port: uint16(port.Port), probed: slices.Contains(c.ProbePorts, port.Port)} //nolint:gosec // The configuration is checked.
		for _, block := range port.PlaintextPeers {
			if prefix, err := netip.ParsePrefix(block); err == nil {
				watched.declared = append(watched.declared, prefix.Masked())
			}
		}
		ports = append(ports, watched)
	}
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.ports = ports
}

// Unattributed counts connections that the pod has accepted since airlock began to watch and that nobody can name. It never falls.
func (w *Watcher) Unattributed() int64 {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.ledger.unattributed
}

// WildcardListener says whether something other than airlock listens on a port of all addresses, so that airlock cannot on one of them.
func (w *Watcher) WildcardListener(port int) bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	for _, at := range w.listenersOf(port) {
		if at.IsUnspecified() {
			return true
		}
	}
	return false
}

// listenersOf gives the addresses at which the application listens on a port.
func (w *Watcher) listenersOf(port int) []netip.Addr {
	var found []netip.Addr
	for _, known := range w.ledger.listeners[uint16(port)] { //nolint:gosec // Another number has no listeners, or those of a port that it is not: none.
		if port == int(known.at.Port()) && known.seen == w.ledger.polls && known.user != w.ledger.user {
			found = append(found, known.at.Addr())
		}
	}
	return found
}

// Ports is what was seen at each port of the configuration, in its order. Secure and Refused are not known here.
func (w *Watcher) Ports() []report.Port {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	reports := make([]report.Port, 0, len(w.ports))
	for i := range w.ports {
		reports = append(reports, w.reportPort(&w.ports[i]))
	}
	return reports
}

func (w *Watcher) reportPort(watched *watchedPort) report.Port {
	seen := report.Port{Port: int(watched.port)}
	for _, at := range w.listenersOf(seen.Port) {
		if !at.IsLoopback() {
			seen.Listening = report.Node
		} else if seen.Listening == "" {
			seen.Listening = report.Loopback
		}
	}
	var total tally
	if before := w.dropped[watched.port]; before != nil {
		total = *before
	}
	for key, met := range w.ledger.peers {
		if key.port == watched.port && w.count(watched, key.from, met.count, &total) {
			seen.Undeclared = append(seen.Undeclared, report.PlaintextPeer{Address: key.from.String(), LastSeen: met.last})
		}
	}
	slices.SortFunc(seen.Undeclared, func(a, b report.PlaintextPeer) int {
		return cmp.Or(b.LastSeen.Compare(a.LastSeen), cmp.Compare(a.Address, b.Address))
	})
	seen.Undeclared = seen.Undeclared[:min(len(seen.Undeclared), report.MaxPeers)]
	seen.UndeclaredTotal, seen.Declared, seen.Kubelet = total.undeclared, total.declared, total.kubelet
	return seen
}

// count adds connections of an address to a tally, and says whether nobody declared it.
func (w *Watcher) count(watched *watchedPort, from netip.Addr, n int64, total *tally) bool {
	switch {
	case watched.probed && w.node[from]:
		total.kubelet += n
	case slices.ContainsFunc(watched.declared, func(block netip.Prefix) bool { return block.Contains(from) }):
		total.declared += n
	default:
		total.undeclared += n
		return true
	}
	return false
}

// forget keeps the numbers of a peer that there is no room for. The ledger calls it while the mutex is held.
func (w *Watcher) forget(key peerKey, met peer) {
	at := slices.IndexFunc(w.ports, func(watched watchedPort) bool { return watched.port == key.port })
	if at < 0 {
		return
	}
	if w.dropped[key.port] == nil {
		w.dropped[key.port] = &tally{}
	}
	w.count(&w.ports[at], key.from, met.count, w.dropped[key.port])
}
