// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package netns

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// variable says to a test that it runs in a namespace of its own.
const variable = "LABGUARD_TEST_NETNS"

// Permitted says why this process may not make namespaces of networks and of mounts, which a node needs. It is nil where it may.
func Permitted() error {
	if user := os.Geteuid(); user != 0 {
		return fmt.Errorf("only root makes namespaces, and this is user %d", user)
	}
	probe := exec.Command("true")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS}
	if err := probe.Run(); err != nil {
		return fmt.Errorf("this root may not make namespaces: %w", err)
	}
	return nil
}

// Enter runs the calling test once more, in a process with a network namespace of its own, and says false where the test is over with that: in the first
// process. Loopback is up in the new one. The test is skipped for whoever may not make namespaces.
func Enter(t *testing.T) bool {
	t.Helper()
	if os.Getenv(variable) == t.Name() {
		up(t, "lo")
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("skipped: only root makes network namespaces")
	}
	//nolint:gosec // The test starts itself.
	inner := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	inner.Env = append(os.Environ(), variable+"="+t.Name())
	inner.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET, Pdeathsig: unix.SIGKILL}
	// The parent that the child dies with is the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	output, err := inner.CombinedOutput()
	if errors.Is(err, unix.EPERM) {
		t.Skip("skipped: this root may not make network namespaces")
	}
	t.Logf("in a network namespace:\n%s", output)
	if err != nil {
		t.Fatalf("the test in the network namespace: %v", err)
	}
	return false
}

// Other is a second namespace that a pair of interfaces connects to the one of the test.
type Other struct {
	calls chan func()
}

// Connect makes the interface eth0 with the addresses here, and at its other end a namespace with the addresses there. Addresses have a prefix length.
// The routes of the namespace of the test lead there.
func Connect(t *testing.T, here, there []string) *Other {
	t.Helper()
	other := &Other{calls: make(chan func())}
	var failed error
	ready := make(chan int)
	go onThread(func() {
		failed = unix.Unshare(unix.CLONE_NEWNET)
		ready <- unix.Gettid()
		for call := range other.calls {
			call()
		}
	})
	thread := <-ready
	if failed != nil {
		t.Fatal(failed)
	}
	t.Cleanup(func() { close(other.calls) })
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "eth0"
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attributes, PeerName: "node0", PeerNamespace: netlink.NsPid(thread)}); err != nil {
		t.Fatalf("add a pair of interfaces: %v", err)
	}
	other.Do(func() {
		up(t, "lo")
		assign(t, "node0", there)
	})
	assign(t, "eth0", here)
	return other
}

// onThread runs a function on a thread that runs nothing else and ends with it. It is not the first one of the process, which /proc/net and /proc/self
// speak of.
func onThread(run func()) {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		run()
		return
	}
	defer runtime.UnlockOSThread()
	done := make(chan struct{})
	go func() {
		defer close(done)
		onThread(run)
	}()
	<-done
}

// Do runs a function in the other namespace. Sockets that it opens itself, and not in a goroutine, are there.
func (o *Other) Do(call func()) {
	done := make(chan struct{})
	o.calls <- func() {
		defer close(done)
		call()
	}
	<-done
}

// Route sends a block of addresses through a gateway.
func Route(t *testing.T, block, gateway string) {
	t.Helper()
	to, err := netlink.ParseIPNet(block)
	if err != nil {
		t.Fatal(err)
	}
	via, err := netlink.ParseAddr(gateway + "/32")
	if err != nil {
		if via, err = netlink.ParseAddr(gateway + "/128"); err != nil {
			t.Fatal(err)
		}
	}
	if err := netlink.RouteAdd(&netlink.Route{Dst: to, Gw: via.IP}); err != nil {
		t.Fatalf("route %s: %v", block, err)
	}
}

func assign(t *testing.T, name string, addresses []string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Errorf("find %s: %v", name, err)
		return
	}
	for _, address := range addresses {
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			t.Error(err)
			return
		}
		if parsed.IP.To4() == nil {
			// Nobody else has it: usable at once.
			parsed.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(link, parsed); err != nil {
			t.Error(fmt.Errorf("assign %s: %w", address, err))
		}
	}
	up(t, name)
}

func up(t *testing.T, name string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		t.Errorf("bring up %s: %v", name, err)
	}
}
