// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/labguard/labguard/internal/airlock/config"
)

// ports are where the parts listen, all on 127.0.0.1: load -> plain (client side) -> secure (server side) -> application.
type ports struct {
	plain, secure, application int
}

// contender is one that is compared.
type contender struct {
	name, version string
	// environment is added to that of the processes.
	environment []string
	// commands gives the command lines of the client side and of the server side, after it has written their configuration.
	commands func(directory string, p ports) (client, server []string, err error)
}

const copyCommand = "copy"

// contenders are all of them, or an error that says what has to be installed.
func contenders(airlock, certificates string) ([]contender, error) {
	if _, err := os.Stat(airlock); err != nil {
		return nil, fmt.Errorf("airlock is not built: %w", err)
	}
	stunnel, failed1 := exec.LookPath("stunnel4")
	haproxy, failed2 := exec.LookPath("haproxy")
	if err := errors.Join(failed1, failed2); err != nil {
		return nil, fmt.Errorf("install them with: apt-get install stunnel4 haproxy: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	own := func(directory string, p ports) ([]string, []string, error) {
		return airlockCommands(airlock, certificates, directory, p)
	}
	return []contender{
		{name: "copy", version: "io.Copy, no TLS", commands: func(_ string, p ports) ([]string, []string, error) {
			return []string{self, copyCommand, at(p.plain), at(p.secure)}, []string{self, copyCommand, at(p.secure), at(p.application)}, nil
		}},
		{name: "haproxy", version: firstLine(haproxy, "-v"), commands: func(directory string, p ports) ([]string, []string, error) {
			return haproxyCommands(haproxy, certificates, directory, p)
		}},
		{name: "stunnel", version: firstLine(stunnel, "-version"), commands: func(directory string, p ports) ([]string, []string, error) {
			return stunnelCommands(stunnel, certificates, directory, p)
		}},
		{name: "airlock", version: "this checkout", commands: own},
		{name: "airlock-x25519", version: "the same without ML-KEM, which the others do not have", environment: []string{"GODEBUG=tlsmlkem=0"}, commands: own},
	}, nil
}

func at(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

const haproxyBoth = `global
  maxconn 5000
  tune.ssl.cachesize 0
  ssl-default-bind-options ssl-min-ver TLSv1.3 no-tls-tickets
  ssl-default-server-options ssl-min-ver TLSv1.3 no-tls-tickets
defaults
  mode tcp
  timeout connect 5s
  timeout client 1h
  timeout server 1h
`

func haproxyCommands(program, certificates, directory string, p ports) (client, server []string, err error) {
	authority := filepath.Join(certificates, authorityFile)
	sides := map[string]string{
		"client": fmt.Sprintf("listen l\n  bind %s\n  server s %s ssl crt %s ca-file %s verify required no-ssl-reuse\n",
			at(p.plain), at(p.secure), filepath.Join(certificates, "client.pem"), authority),
		"server": fmt.Sprintf("listen l\n  bind %s ssl crt %s ca-file %s verify required\n  server s %s\n",
			at(p.secure), filepath.Join(certificates, "server.pem"), authority, at(p.application)),
	}
	for name, side := range sides {
		if err := os.WriteFile(filepath.Join(directory, name+".cfg"), []byte(haproxyBoth+side), 0o600); err != nil {
			return nil, nil, err
		}
	}
	line := func(name string) []string {
		return []string{program, "-db", "-q", "-f", filepath.Join(directory, name+".cfg")}
	}
	return line("client"), line("server"), nil
}

func stunnelCommands(program, certificates, directory string, p ports) (client, server []string, err error) {
	side := func(name, role string, from, to int) error {
		text := fmt.Sprintf(`foreground = yes
pid =
debug = err
output = /dev/null
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
sslVersionMin = TLSv1.3
sessionResume = no
options = NO_TICKET
CAfile = %s
cert = %s
key = %s
verifyChain = yes
[bench]
client = %s
accept = %s
connect = %s
`, filepath.Join(certificates, authorityFile), filepath.Join(certificates, name+".crt"), filepath.Join(certificates, name+".key"), role, at(from), at(to))
		return os.WriteFile(filepath.Join(directory, name+".conf"), []byte(text), 0o600)
	}
	if err := errors.Join(side("client", "yes", p.plain, p.secure), side("server", "no", p.secure, p.application)); err != nil {
		return nil, nil, err
	}
	return []string{program, filepath.Join(directory, "client.conf")}, []string{program, filepath.Join(directory, "server.conf")}, nil
}

func airlockCommands(program, certificates, directory string, p ports) (client, server []string, err error) {
	const many = 20_000
	documents := map[string]config.Configuration{
		"client": {Identity: clientID, ClientPath: config.HostAliases, Upstreams: []config.Upstream{
			{Name: "bench/server/bench", Listen: at(p.plain), Secure: at(p.secure), ID: serverID, MinTLSVersion: "1.3"},
		}},
		"server": {Identity: serverID, Ports: []config.Port{
			{Name: "bench", Port: p.application, ListenPort: p.secure, Stage: config.Strict, MinTLSVersion: "1.3", Peers: []config.Peer{{ID: clientID}}},
		}},
	}
	for name, document := range documents {
		document.Version, document.TrustDomain, document.MaxConnections = config.Version, trustDomain, many
		document.Operator = "spiffe://" + trustDomain + "/labguard/operator"
		if err := mount(filepath.Join(directory, name), certificates, name, document); err != nil {
			return nil, nil, err
		}
	}
	line := func(name string) []string {
		return []string{program, "run", "--directory", filepath.Join(directory, name), "--health-port", "0", "--admin-port", "0", "--redirect-port", "0"}
	}
	return line("client"), line("server"), nil
}

// mount writes what the kubelet would mount.
func mount(directory, certificates, name string, document config.Configuration) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	files := map[string]string{
		name + ".crt": config.CertificateFile, name + ".key": config.KeyFile, authorityFile: filepath.Join(config.BundleDirectory, trustDomain+".pem"),
	}
	for from, to := range files {
		content, err := os.ReadFile(filepath.Join(certificates, from))
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(directory, to)), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(directory, to), content, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(directory, config.FileName), text, 0o600)
}

// copyTCP is the plain copy.
func copyTCP(from, to string) error {
	listener, err := net.Listen("tcp", from) //nolint:noctx // It ends with the process.
	if err != nil {
		return err
	}
	for {
		accepted, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer func() { _ = accepted.Close() }()
			dialed, err := net.Dial("tcp", to) //nolint:noctx,gosec // It ends with the process, which goes where it was told to.
			if err != nil {
				return
			}
			defer func() { _ = dialed.Close() }()
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				pump(dialed, accepted)
			}()
			pump(accepted, dialed)
			<-ended
		}()
	}
}

func pump(to, from net.Conn) {
	_, _ = io.Copy(to, from)
	if tcp, ok := to.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}
