// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/labguard/labguard/hack/devcluster/internal/component"
	"github.com/labguard/labguard/hack/devcluster/internal/process"
)

func TestPortsAreKeptUnlessTaken(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ports.json")
	first, err := choosePorts(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := choosePorts(t.Context(), file)
	if err != nil || again != first {
		t.Errorf("got %+v, %v, want %+v", again, err, first)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address(first.APIServer))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	other, err := choosePorts(t.Context(), file)
	if err != nil || other.APIServer == first.APIServer || other.Etcd != first.Etcd {
		t.Errorf("only the taken port should change: %+v, %v, before %+v", other, err, first)
	}
	seen := map[int]bool{}
	for _, port := range other.all() {
		if seen[*port] {
			t.Errorf("port %d is used twice", *port)
		}
		seen[*port] = true
	}
}

func TestBrokenPortsFileIsReplaced(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ports.json")
	if err := os.WriteFile(file, []byte(`{"etcd": 70000, "registry": `), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := choosePorts(t.Context(), file); err != nil || p.Etcd >= lastPort || p.Registry == 0 {
		t.Errorf("got %+v, %v", p, err)
	}
}

func TestFolderIsForOneClusterAtATime(t *testing.T) {
	l, err := newLayout(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	unlock, err := l.lock()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.lock(); err == nil || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("want an error that names this process, got %v", err)
	}
	unlock()
	if unlock, err = l.lock(); err != nil {
		t.Fatal(err)
	}
	unlock()
}

func TestOnlyALostPortIsTriedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		lost bool
	}{
		"no error":               {nil, false},
		"component without port": {&process.EndedError{Tail: []string{"listen tcp 127.0.0.1:1: bind: address already in use"}}, true},
		"registry without port":  {&net.OpError{Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}, true},
		"another failure":        {&process.EndedError{Tail: []string{"unknown flag"}}, false},
		"another error":          {errors.New("disk full"), false},
	} {
		if got := portLost(c.err); got != c.lost {
			t.Errorf("%s: got %v, want %v", name, got, c.lost)
		}
	}
}

func TestAuthenticationConfigIsHandedToTheServerOnlyIfGiven(t *testing.T) {
	l := layout{dir: t.TempDir()}
	ids, err := newIdentitiesIn(t, l)
	if err != nil {
		t.Fatal(err)
	}
	without := setup{layout: l, identities: ids}.arguments(component.APIServer)
	for _, argument := range without {
		if strings.HasPrefix(argument, "--authentication-config") || strings.HasPrefix(argument, "--anonymous-auth") {
			t.Errorf("argument without a configuration: %s", argument)
		}
	}
	with := setup{layout: l, identities: ids, authenticationConfig: "/etc/authentication.yaml"}.arguments(component.APIServer)
	added := slices.DeleteFunc(slices.Clone(with), func(argument string) bool { return slices.Contains(without, argument) })
	if len(with) != len(without)+1 || !slices.Equal(added, []string{"--authentication-config=/etc/authentication.yaml"}) {
		t.Errorf("a configuration adds %q", added)
	}
	if !slices.ContainsFunc(with, func(argument string) bool { return strings.HasPrefix(argument, "--client-ca-file=") }) {
		t.Error("certificates are of no use any more")
	}
}

// newIdentitiesIn makes the keys of a cluster in the folder of l.
func newIdentitiesIn(t *testing.T, l layout) (identities, error) {
	t.Helper()
	made, err := newLayout(l.dir)
	if err != nil {
		return identities{}, err
	}
	return newIdentities(made, "https://127.0.0.1:1")
}

func TestAuthenticationConfigHasToBeThere(t *testing.T) {
	t.Chdir(t.TempDir())
	if path, err := readable(""); err != nil || path != "" {
		t.Errorf("none: %q, %v", path, err)
	}
	if path, err := readable("authentication.yaml"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %q, %v", path, err)
	}
	if err := os.WriteFile("authentication.yaml", []byte("kind: AuthenticationConfiguration"), 0o600); err != nil {
		t.Fatal(err)
	}
	// The API server runs in another folder perhaps.
	if path, err := readable("authentication.yaml"); err != nil || !filepath.IsAbs(path) || filepath.Base(path) != "authentication.yaml" {
		t.Errorf("a file that is there: %q, %v", path, err)
	}
}
