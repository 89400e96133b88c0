// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/labguard/labguard/internal/airlock/sidecar"
	"github.com/labguard/labguard/internal/testutil/pki"
)

// asProcess has this program be an airlock of the directory that it names.
const asProcess = "AIRLOCK_UNDER_TEST"

func TestMain(m *testing.M) {
	directory := os.Getenv(asProcess)
	if directory == "" {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	sidecar.LimitMemory(0)
	options := sidecar.Defaults()
	options.Directory, options.AdminPort, options.RedirectPort = directory, 0, 0
	options.HealthPort, _ = strconv.Atoi(os.Getenv("HEALTH_PORT"))
	err := sidecar.New(options).Run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// process starts an airlock as a process of its own.
func (p *pod) process() *exec.Cmd {
	p.t.Helper()
	p.mount()
	p.health = freePort(p.t)
	command := exec.Command(os.Args[0]) //nolint:gosec // It is this program.
	command.Env = append(os.Environ(), asProcess+"="+p.volume.Directory, fmt.Sprintf("HEALTH_PORT=%d", p.health), "GOMAXPROCS=1")
	command.Stderr = p.log
	if err := command.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	eventually(p.t, "the kubelet gets ok", p.healthy)
	return command
}

// resident is the memory of a process in KiB.
func resident(t testing.TB, command *exec.Cmd) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.SplitSeq(string(text), "\n") {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			number, err := strconv.Atoi(strings.Fields(value)[0])
			if err != nil {
				t.Fatal(err)
			}
			return number
		}
	}
	t.Fatal("there is no VmRSS")
	return 0
}

// TestIdleMemory measures what a connection costs that says nothing. It prints the numbers, and fails where they are far from what they were.
func TestIdleMemory(t *testing.T) {
	const (
		connections = 2000
		// most is in KiB for a connection, and far above what is measured: memory of a shared machine varies.
		most = 80
	)
	if raced {
		t.Skip("the race detector takes several times the memory of the program: run this test without -race")
	}
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	command := server.process()
	identity := root.Issue(pki.Leaf{URIs: []string{engine}})
	configuration := client(t, &identity)
	works(t, server.secure(), identity)
	empty := resident(t, command)
	began := time.Now()
	open := make([]*tls.Conn, 0, connections)
	for range connections {
		connection, err := tls.Dial("tcp", server.secure(), configuration)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		open = append(open, connection)
	}
	took := time.Since(began)
	told := func(after string) {
		full := resident(t, command)
		each := float64(full-empty) / connections
		t.Logf("%d connections %s: %d KiB, %d KiB without: %.1f KiB each", connections, after, full, empty, each)
		if each > most {
			t.Errorf("%.1f KiB for a connection is more than %d", each, most)
		}
	}
	for _, size := range []int{1, 2000, 40000} {
		for _, connection := range open {
			if err := say(connection, strings.Repeat("m", size)); err != nil {
				t.Fatal(err)
			}
		}
		told(fmt.Sprintf("after a message of %d bytes each", size))
	}
	t.Logf("%d handshakes, one after the other, in %s", connections, took.Round(time.Millisecond))
}

// TestEndOfProcess ends an airlock that has nothing to do, as the kubelet does when the application of a Job is done.
func TestEndOfProcess(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, freePort(t))
	command := server.process()
	began := time.Now()
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("exit code: %v", err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}
