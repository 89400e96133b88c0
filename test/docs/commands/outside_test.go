// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/labguard/labguard/internal/testutil/documented"
	"github.com/labguard/labguard/internal/testutil/operator"
)

// A cluster of its own, with the manager beside it: every command of the page runs, on other ports and in another folder.
func TestLabguardRunsOutsideOfACluster(t *testing.T) {
	d := sit(t)
	lab := filepath.Join(t.TempDir(), "lab")
	webhooks, metrics, probes := free(t), free(t), free(t)
	first := documented.With(t, documented.Block(t, "docs/install.md", "Outside the cluster", 1), "/tmp/lab", lab)
	first = inBackground(t, first, "bin/devcluster up", lab+".up")
	d.checkout().Must(t, first)
	t.Cleanup(func() { end(t, lab+".up.pid") })
	operator.Eventually(t, "the cluster is there", func() error {
		out, err := os.ReadFile(lab + ".up.log")
		if err == nil && !strings.Contains(string(out), "\nready") {
			err = fmt.Errorf("it says %s", out)
		}
		return err
	})
	second := documented.With(t, documented.Block(t, "docs/install.md", "Outside the cluster", 2), "/tmp/lab", lab,
		"localhost:9443", "localhost:"+webhooks+" --webhook-port="+webhooks, "127.0.0.1:8080", "127.0.0.1:"+metrics, "127.0.0.1:8081", "127.0.0.1:"+probes)
	second = inBackground(t, second, "bin/manager ", lab+".manager")
	d.checkout().Must(t, second)
	t.Cleanup(func() { end(t, lab+".manager.pid") })
	operator.Eventually(t, "labguard is ready", func() error {
		response, err := http.Get("http://127.0.0.1:" + probes + "/readyz")
		if err != nil {
			return err
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", response.Status)
		}
		return response.Body.Close()
	})
	third := documented.With(t, documented.Block(t, "docs/development.md", "The local Kubernetes", 1), "/tmp/lab", lab)
	lines := strings.Split(strings.TrimSpace(third), "\n")
	if out := d.checkout().Must(t, lines[len(lines)-1]); !strings.Contains(out, "labguard-system") {
		t.Errorf("it prints %s", out)
	}
}

// inBackground has the command of a block that begins with a text go on while the reader types the next one in another terminal.
func inBackground(t *testing.T, block, command, name string) string {
	t.Helper()
	before, rest, found := strings.Cut(block, "\n"+command)
	if !found {
		t.Fatalf("the page does not say %q any more:\n%s", command, block)
	}
	words := ""
	for line := range strings.Lines(rest) {
		line, _, _ = strings.Cut(strings.TrimRight(line, "\n"), " #")
		words += line + "\n"
		if !strings.HasSuffix(line, "\\") {
			break
		}
	}
	return before + "\n" + command + strings.TrimRight(words, "\n ") + " > " + name + ".log 2>&1 &\necho $! > " + name + ".pid\n"
}

func end(t *testing.T, file string) {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil || pid < 2 {
		t.Errorf("%s has %q", file, content)
		return
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Error(err)
		return
	}
	operator.Eventually(t, "it ends", func() error {
		if err := syscall.Kill(pid, 0); err == nil {
			return fmt.Errorf("process %d is there", pid)
		}
		return nil
	})
}

// free is a port that nobody has a moment ago.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
