// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package sidecar_test

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/testutil/pki"
)

// TestOpenSSL is a peer of another make. It also has both sides change their keys in the middle of a connection (RFC 8446, 4.6.3), which Go never asks for.
func TestOpenSSL(t *testing.T) {
	program, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl on this machine: install it to try a peer of another make")
	}
	root := pki.NewAuthority(t, "lab")
	server := serverPod(t, root, portOf(listenOn(t, "127.0.0.1:0", echo)))
	server.document.Ports[0].MinTLSVersion = config.TLS12
	server.start()
	identity, directory := root.Issue(pki.Leaf{URIs: []string{engine}}), t.TempDir()
	for name, text := range map[string][]byte{"tls.crt": identity.Chain, "tls.key": identity.Key} {
		if err := os.WriteFile(filepath.Join(directory, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for version, words := range map[string][]string{"-tls1_3": {"hello\n", "K\n", "again\n", "k\n", "and again\n"}, "-tls1_2": {"hello\n", "again\n"}} {
		t.Run(version, func(t *testing.T) {
			command := exec.Command(program, "s_client", "-connect", server.secure(), version,
				"-cert", filepath.Join(directory, "tls.crt"), "-key", filepath.Join(directory, "tls.key"))
			answers := &lines{}
			command.Stdout, command.Stderr = answers, answers
			input, err := command.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := command.Start(); err != nil {
				t.Fatal(err)
			}
			var once sync.Once
			end := func() { once.Do(func() { _ = command.Process.Kill(); _ = command.Wait() }) }
			t.Cleanup(end)
			// It takes a command for one only where nothing else was read with it.
			eventually(t, "the handshake is done", func() bool { return strings.Contains(answers.String(), "Verify return code") })
			for _, word := range words {
				// What is there already is an answer to an earlier word; written too early, this one would be read together with it.
				before := len(answers.String())
				if _, err := io.WriteString(input, word); err != nil {
					t.Fatal(err)
				}
				want := word
				if len(word) == 2 {
					want = "KEYUPDATE"
				}
				eventually(t, "there is an answer to "+word, func() bool {
					return strings.Contains(answers.String()[before:], want)
				})
			}
			end()
		})
	}
}
