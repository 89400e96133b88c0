// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/labguard/labguard/internal/airlock/report"
	"github.com/labguard/labguard/internal/testutil/pki"
)

// get reads from the admin port.
func get(p *pod, configuration *tls.Config, path string) (string, error) {
	p.t.Helper()
	transport := &http.Transport{TLSClientConfig: configuration, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
	response, err := client.Get(fmt.Sprintf("https://127.0.0.1:%d%s", p.admin, path))
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", response.Status, text)
	}
	return string(text), err
}

func TestAdmin(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.start()
	labguard := root.Issue(pki.Leaf{URIs: []string{operator}})
	standing(t, server.secure(), root.Issue(pki.Leaf{URIs: []string{engine}}))
	text, err := get(server, client(t, &labguard), report.Path)
	if err != nil {
		t.Fatal(err)
	}
	var told report.Report
	if err := json.Unmarshal([]byte(text), &told); err != nil {
		t.Fatal(err)
	}
	if told.Identity == nil || told.Identity.ID != lis || told.Identity.Root == "" || len(told.Bundles[domain]) != 1 || told.Configuration == "" ||
		len(told.Connections) != 1 || told.Connections[0].Root != told.Bundles[domain][0] || told.Now.IsZero() {
		t.Errorf("%+v", told)
	}
	metrics, err := get(server, client(t, &labguard), "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`labguard_airlock_connections 1`, `labguard_airlock_connections_total{half="server",kind="secure"} 1`,
		`labguard_airlock_port_connections_total{port="mllp",result="secure"} 1`, `labguard_airlock_material_current{what="identity"} 1`,
		"labguard_airlock_certificate_not_after_timestamp_seconds", "go_goroutines",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("there is no %s", want)
		}
	}
	if strings.Contains(metrics, "spiffe://") || strings.Contains(metrics, "127.0.0.1") {
		t.Error("a metric has a peer")
	}
	if _, err := get(server, client(t, &labguard), "/debug/pprof/"); err == nil {
		t.Error("there is more than the report and the metrics")
	}
	for name, id := range map[string]string{"a peer": engine, "airlock itself": lis, "another of labguard's": "spiffe://lab.example/labguard/prober"} {
		t.Run(name, func(t *testing.T) {
			issued := root.Issue(pki.Leaf{URIs: []string{id}})
			if _, err := get(server, client(t, &issued), report.Path); err == nil {
				t.Error("it may read the report")
			}
		})
	}
	if _, err := get(server, client(t, nil), report.Path); err == nil {
		t.Error("everybody may read the report")
	}
	t.Run("the operator is no peer", func(t *testing.T) { refused(t, server.secure(), client(t, &labguard)) })
}

func TestAdminIsBounded(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.start()
	labguard := root.Issue(pki.Leaf{URIs: []string{operator}})
	for range 4 {
		connection, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", server.admin), client(t, &labguard))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
	}
	eventually(t, "there is no place left", func() bool {
		_, err := get(server, client(t, &labguard), report.Path)
		return err != nil && server.logs(`"half":"admin"`, `"reason":"TooManyConnections"`)()
	})
	// Whoever holds a place and asks for nothing loses it.
	eventually(t, "there is a place again", func() bool {
		_, err := get(server, client(t, &labguard), report.Path)
		return err == nil
	})
}

func TestHealthSaysNothing(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.files["airlock.json"] = []byte("{")
	server.start()
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "no configuration\n", "/report": "404 page not found\n", "/metrics": "404 page not found\n"} {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d%s", server.health, path))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if err != nil || string(text) != want {
			t.Errorf("%s: %q, %v", path, text, err)
		}
	}
}

// silent opens connections that say nothing.
func silent(t *testing.T, port, count int) []net.Conn {
	t.Helper()
	opened := make([]net.Conn, count)
	for i := range opened {
		connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		opened[i] = connection
	}
	return opened
}

// Whoever reaches the admin port and says nothing must not keep labguard from what it asks.
func TestTheSilentDoNotKeepLabguardOut(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.start()
	labguard := root.Issue(pki.Leaf{URIs: []string{operator}})
	silent(t, server.admin, 20)
	if _, err := get(server, client(t, &labguard), report.Path); err != nil {
		t.Errorf("labguard is kept out: %v", err)
	}
	eventually(t, "the silent are said", server.logs(`"half":"admin"`, `"reason":"TooManyHandshakes"`))
}

func TestHealthIsBounded(t *testing.T) {
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.start()
	opened := silent(t, server.health, 40)
	kubelet := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	response, err := kubelet.Get(fmt.Sprintf("http://127.0.0.1:%d/healthz", server.health))
	if err != nil {
		t.Fatalf("the kubelet is kept out: %v", err)
	}
	_ = response.Body.Close()
	// Long before a request that does not come would be given up.
	if err := opened[0].SetReadDeadline(time.Now().Add(3 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := opened[0].Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the oldest of 40 connections is open: %v", err)
	}
}
