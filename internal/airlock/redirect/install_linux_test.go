// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package redirect_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/redirect"
	"github.com/labguard/labguard/internal/testutil/netns"
)

// dialVariable has the process dial for the test as another user, and print the answer.
const dialVariable = "LABGUARD_TEST_DIAL"

func TestMain(m *testing.M) {
	if to := os.Getenv(dialVariable); to != "" {
		fmt.Print(ask(to)) //nolint:forbidigo // The answer to the test that started this process.
		return
	}
	os.Exit(m.Run())
}

// ask connects and gives what the server says first.
func ask(to string) string {
	connection, err := net.DialTimeout("tcp", to, 5*time.Second) //nolint:gosec // Where the test says.
	if err != nil {
		return err.Error()
	}
	defer func() { _ = connection.Close() }()
	said, err := io.ReadAll(io.LimitReader(connection, 1024))
	if err != nil {
		return err.Error()
	}
	return string(said)
}

// answer has a listener say something to everybody who connects.
func answer(t *testing.T, address string, say func(*net.TCPConn) string) {
	t.Helper()
	at, err := net.Listen("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	t.Cleanup(func() { _ = at.Close() })
	go func() {
		for {
			accepted, err := at.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(accepted, say(accepted.(*net.TCPConn)))
			_ = accepted.Close()
		}
	}()
}

func always(what string) func(*net.TCPConn) string { return func(*net.TCPConn) string { return what } }

func airlock(connection *net.TCPConn) string {
	to, err := redirect.OriginalDestination(connection)
	return fmt.Sprintf("airlock %v %v", to, err)
}

func install(t *testing.T, entries ...string) {
	t.Helper()
	rules, err := redirect.Parse(entries)
	if err != nil {
		t.Fatal(err)
	}
	if err := redirect.Install(rules); err != nil {
		t.Fatal(err)
	}
}

// askAs asks as another user, without any capability.
func askAs(t *testing.T, user uint32, to string) string {
	t.Helper()
	// A copy that the user may run, wherever the test was built.
	program := filepath.Join(t.TempDir(), "dial")
	content, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, directory := range []string{filepath.Dir(program), filepath.Dir(filepath.Dir(program))} {
		if err := os.Chmod(directory, 0o755); err != nil { //nolint:gosec // For another user.
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(program, content, 0o755); err != nil { //nolint:gosec // For another user.
		t.Fatal(err)
	}
	coverage := filepath.Join(filepath.Dir(program), "coverage")
	if err := os.MkdirAll(coverage, 0o777); err != nil { //nolint:gosec // For another user.
		t.Fatal(err)
	}
	if err := os.Chmod(coverage, 0o777); err != nil { //nolint:gosec // For another user.
		t.Fatal(err)
	}
	dial := exec.CommandContext(t.Context(), program)
	dial.Dir = "/"
	// A program that is compiled to count its coverage complains where it cannot write it.
	dial.Env = []string{dialVariable + "=" + to, "GOCOVERDIR=" + coverage}
	dial.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}, Pdeathsig: unix.SIGKILL}
	output, err := dial.CombinedOutput()
	if err != nil {
		t.Fatalf("dial as %d: %v\n%s", user, err, output)
	}
	return string(output)
}

// An interface engine listens on 2575 and dials 2575. What it dials reaches airlock, which learns where it was meant to go.
func TestRedirect(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	other := netns.Connect(t, []string{"10.9.0.10/24", "fd09::10/64"}, []string{"10.9.0.20/24", "fd09::20/64", "10.96.1.2/32", "10.96.1.3/32", "fd96::2/128", "fd96::3/128"})
	netns.Route(t, "10.96.0.0/16", "10.9.0.20")
	netns.Route(t, "fd96::/64", "fd09::20")
	other.Do(func() {
		answer(t, ":2575", always("upstream"))
		answer(t, ":104", always("upstream"))
	})
	answer(t, ":2575", always("self"))
	answer(t, fmt.Sprintf("127.0.0.1:%d", config.RedirectPort), airlock)
	answer(t, fmt.Sprintf("[::1]:%d", config.RedirectPort), airlock)

	check := func(say func(string) string, want map[string]string) {
		t.Helper()
		for to, want := range want {
			if got := say(to); got != want {
				t.Errorf("%s: %q, want %q", to, got, want)
			}
		}
	}
	unchanged := map[string]string{
		"127.0.0.1:2575": "self", "[::1]:2575": "self", "10.9.0.10:2575": "self", "[fd09::10]:2575": "self",
		"10.96.1.2:104": "upstream", "[fd96::2]:104": "upstream",
	}
	// Twice: an init container may run again.
	for range 2 {
		install(t, "10.96.1.2:2575", "[fd96::2]:2575")
		check(ask, unchanged)
		check(ask, map[string]string{
			"10.96.1.2:2575": "airlock 10.96.1.2:2575 <nil>", "[fd96::2]:2575": "airlock [fd96::2]:2575 <nil>",
			"10.96.1.3:2575": "upstream", "[fd96::3]:2575": "upstream",
		})
	}
	check(func(to string) string { return askAs(t, config.UserID, to) }, map[string]string{"10.96.1.2:2575": "upstream", "[fd96::2]:2575": "upstream"})
	check(func(to string) string { return askAs(t, 1000, to) }, map[string]string{"10.96.1.2:2575": "airlock 10.96.1.2:2575 <nil>"})

	// By port, for names that lead to pods: every destination of it, and the rules of before are gone.
	install(t, ":2575")
	check(ask, unchanged)
	check(ask, map[string]string{
		"10.96.1.2:2575": "airlock 10.96.1.2:2575 <nil>", "10.96.1.3:2575": "airlock 10.96.1.3:2575 <nil>", "[fd96::3]:2575": "airlock [fd96::3]:2575 <nil>",
	})
	check(func(to string) string { return askAs(t, config.UserID, to) }, map[string]string{"10.96.1.3:2575": "upstream"})

	install(t, "10.96.1.2:104")
	check(ask, map[string]string{"10.96.1.2:104": "airlock 10.96.1.2:104 <nil>", "10.96.1.2:2575": "upstream", "[fd96::2]:104": "upstream"})
}

// As many entries as are taken fit into the messages to the kernel.
func TestInstallTheMost(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	entries := make([]string, redirect.MaxEntries)
	for i := range entries {
		entries[i] = fmt.Sprintf("10.96.1.2:%d", 1000+i)
		if i%2 == 0 {
			entries[i] = fmt.Sprintf("[fd96::2]:%d", 1000+i)
		}
	}
	install(t, entries...)
	for i := range entries {
		entries[i] = fmt.Sprintf(":%d", 1000+i)
	}
	install(t, entries...)
}

// Without NET_ADMIN there is an error, and no connection that goes where nobody knows.
func TestInstallWithoutPrivilege(t *testing.T) {
	if !netns.Enter(t) {
		return
	}
	// The thread has no privilege any more, and ends.
	failed := make(chan error)
	rules, err := redirect.Parse([]string{":2575"})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := dropCapabilities(); err != nil {
			failed <- err
			return
		}
		failed <- redirect.Install(rules)
	}()
	if err := <-failed; !errors.Is(err, os.ErrPermission) {
		t.Errorf("error %v", err)
	}
}
