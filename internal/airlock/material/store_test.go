// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package material_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	clocktesting "k8s.io/utils/clock/testing"

	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/airlock/material"
	"github.com/labguard/labguard/internal/testutil/pki"
)

const (
	lis      = "spiffe://lab.example/ns/pathology/labworkload/lis"
	document = `{"version": 1, "trustDomain": "lab.example", "identity": "` + lis + `", "operator": "spiffe://lab.example/labguard/operator",
  "maxConnections": 16, "ports": [{"name": "a", "port": 1000, "listenPort": 15100, "stage": "Strict", "minTLSVersion": "1.3", "peers": [
    {"pattern": "spiffe://clinic.example/a/*"}, {"pattern": "spiffe://vendor.example/a/*", "authority": "hospital"}]}]}`
)

func mounted(root *pki.Authority, at time.Time) map[string][]byte {
	issued := root.Issue(pki.Leaf{URIs: []string{lis}, NotBefore: at})
	return map[string][]byte{
		config.FileName: []byte(document), config.CertificateFile: issued.Chain, config.KeyFile: issued.Key, "trust/lab.example.pem": root.PEM(),
	}
}

func TestRefresh(t *testing.T) {
	root, clock := pki.NewAuthority(t, "lab"), clocktesting.NewFakeClock(time.Now())
	volume := pki.NewVolume(t)
	store := material.NewStore(volume.Directory, clock)
	changes := 0
	store.OnChange(func(*material.Snapshot) { changes++ })
	store.Refresh()
	if s := store.Current(); s.Configuration != nil || s.Identity != nil || s.ConfigurationError == "" || s.IdentityError == "" {
		t.Fatalf("of an empty directory: %+v", s)
	}
	volume.Write(mounted(root, clock.Now().Add(-time.Hour)))
	store.Refresh()
	first := store.Current()
	if first.Configuration == nil || first.Identity == nil || first.ConfigurationError != "" || first.IdentityError != "" {
		t.Fatalf("%+v", first)
	}
	if !first.Anchors.Reserved["clinic.example"] || first.Anchors.Reserved["vendor.example"] {
		t.Errorf("reserved are %v", first.Anchors.Reserved)
	}
	for range 100 {
		store.Refresh()
	}
	if changes != 2 || store.Current() != first {
		t.Errorf("nothing has changed, and there were %d changes", changes)
	}
}

// TestNotYetValid mounts a certificate of the near future, as a clock that is behind sees it. It is used as soon as it is valid.
func TestNotYetValid(t *testing.T) {
	root, clock := pki.NewAuthority(t, "lab"), clocktesting.NewFakeClock(time.Now())
	volume := pki.NewVolume(t)
	store := material.NewStore(volume.Directory, clock)
	volume.Write(mounted(root, clock.Now().Add(-time.Hour)))
	store.Refresh()
	old := store.Current().Identity
	volume.Write(mounted(root, clock.Now().Add(time.Minute)))
	store.Refresh()
	if store.Current().Identity != old || store.Current().IdentityError == "" {
		t.Fatal("it is shown too early")
	}
	clock.Step(2 * time.Minute)
	store.Refresh()
	if store.Current().Identity == old || store.Current().IdentityError != "" {
		t.Errorf("it is not shown: %s", store.Current().IdentityError)
	}
}

// TestWithoutLink reads a directory of plain files, such as one that somebody made by hand.
func TestWithoutLink(t *testing.T) {
	root, clock := pki.NewAuthority(t, "lab"), clocktesting.NewFakeClock(time.Now())
	directory := t.TempDir()
	store := material.NewStore(directory, clock)
	store.Refresh()
	for name, text := range mounted(root, clock.Now().Add(-time.Hour)) {
		path := filepath.Join(directory, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	store.Refresh()
	if s := store.Current(); s.Configuration == nil || s.Identity == nil {
		t.Errorf("%+v", s)
	}
}

func TestBadBundles(t *testing.T) {
	root, clock := pki.NewAuthority(t, "lab"), clocktesting.NewFakeClock(time.Now())
	for name, change := range map[string]func(map[string][]byte){
		"cut off":   func(files map[string][]byte) { files["trust/lab.example.pem"] = root.PEM()[:50] },
		"too long":  func(files map[string][]byte) { files["trust/lab.example.pem"] = make([]byte, 2<<20) },
		"a private": func(files map[string][]byte) { files["trust/lab.example.pem"] = files[config.KeyFile] },
		"too many": func(files map[string][]byte) {
			for n := range 600 {
				files[fmt.Sprintf("authorities/a%d.pem", n)] = nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			volume := pki.NewVolume(t)
			store := material.NewStore(volume.Directory, clock)
			files := mounted(root, clock.Now().Add(-time.Hour))
			volume.Write(files)
			store.Refresh()
			change(files)
			volume.Write(files)
			store.Refresh()
			s := store.Current()
			if s.ConfigurationError == "" || len(s.Anchors.Bundles["lab.example"].Roots()) != 1 {
				t.Errorf("%q, %v", s.ConfigurationError, s.Anchors.Bundles["lab.example"].Roots())
			}
			if strings.Contains(s.ConfigurationError, "PRIVATE") {
				t.Error("the error has a key")
			}
		})
	}
}

// TestLinksOut refuses to be led out of the mounted directory.
func TestLinksOut(t *testing.T) {
	root, clock := pki.NewAuthority(t, "lab"), clocktesting.NewFakeClock(time.Now())
	outside := filepath.Join(t.TempDir(), "outside.pem")
	if err := os.WriteFile(outside, root.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	directory := t.TempDir()
	if err := os.Mkdir(filepath.Join(directory, "trust"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(directory, "trust", "lab.example.pem")); err != nil {
		t.Fatal(err)
	}
	store := material.NewStore(directory, clock)
	store.Refresh()
	if s := store.Current(); len(s.Anchors.Bundles) != 0 || s.ConfigurationError == "" {
		t.Errorf("%+v", s)
	}
}
