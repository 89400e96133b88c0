// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/labguard/labguard/internal/posture"
)

func FuzzParseReference(f *testing.F) {
	for _, seed := range []string{"nginx", "lab.example:5000/a/b:v1", "localhost/x@" + digestOf(nil), "[::1]:5000/x", "a:b@c", "", "@", "a//b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, reference string) {
		parsed, err := parseReference(reference)
		if err != nil {
			return
		}
		if (parsed.tag == "") == (parsed.digest == "") {
			t.Errorf("%q: tag %q and digest %q", reference, parsed.tag, parsed.digest)
		}
		if host := parsed.repository.RegistryStr(); host == "" || strings.ContainsAny(host, "/@ \n") {
			t.Errorf("%q: host %q", reference, host)
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"config":{"digest":"`+digestOf(nil)+`"}}`), "", "linux", "amd64")
	f.Add([]byte(`{"manifests":[{"digest":"`+digestOf(nil)+`","platform":{"os":"linux","architecture":"arm64"}}]}`), ociIndex, "", "")
	f.Add([]byte(`{"schemaVersion":1}`), schema1Signed, "", "")
	f.Fuzz(func(t *testing.T, body []byte, contentType, os, architecture string) {
		m, err := parseManifest(body, contentType)
		if err != nil || !m.isIndex() {
			return
		}
		wanted := posture.Platform{OS: os, Architecture: architecture}
		chosen, err := m.choose(wanted)
		if err != nil {
			return
		}
		if chosen.Digest.Hex == "" || chosen.Annotations[annotationReference] != "" {
			t.Errorf("chosen %+v", chosen)
		}
		if wanted != (posture.Platform{}) && (chosen.Platform == nil || chosen.Platform.OS != os || chosen.Platform.Architecture != architecture) {
			t.Errorf("chosen %+v for %s", chosen.Platform, wanted)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"created":"2026-01-10T08:00:00Z","history":[{"created":"2026-01-11T08:00:00.1+02:00"},{}],"config":{"Labels":{"a":"b"}}}`))
	f.Add([]byte(`{"created":0,"history":null}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		config, err := parseConfig(body)
		if err != nil {
			return
		}
		newest := config.newestHistory()
		for _, entry := range config.History {
			if entry.Created.After(newest) {
				t.Errorf("%s is newer than the newest, %s", entry.Created, newest)
			}
		}
	})
}

func FuzzKeyring(f *testing.F) {
	f.Add([]byte(`{"auths":{"https://index.docker.io/v1/":{"auth":"dTpw"}}}`), "nginx")
	f.Add([]byte(`{"auths":{"*.lab.example:5000/team":{"username":"u","password":"p"}}}`), "a.lab.example:5000/team/x")
	f.Fuzz(func(t *testing.T, config []byte, repository string) {
		parsed, err := name.NewRepository(repository)
		if err != nil {
			return
		}
		var ring keyring
		_ = ring.add(config) // what cannot be read is left out; the rest must still be sound
		if got := len(ring.match(parsed)); got > maxCredentials {
			t.Errorf("%d credentials", got)
		}
	})
}
