// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	f.Add([]byte(`{"manifests":[{"digest":"`+digestOf(nil)+`","platform":{"os":"a/b","variant":"c/"}}]}`), ociIndex, "a", "b")
	f.Add([]byte(`{"manifests":[{"digest":"`+digestOf(nil)+`","annotations":{"vnd.docker.reference.type":"x"}}]}`), dockerList, "", "")
	f.Add([]byte(`{"manifests":null,"mediaType":"`+ociIndex+`"}`), "", "", "")
	f.Add([]byte(`{"schemaVersion":1}`), schema1Signed, "", "")
	f.Add(indexOf(maxIndexedImages), ociIndex, "linux", "arm64")
	f.Add(indexOf(maxIndexedImages+1), ociIndex, "linux", "arm64")
	f.Fuzz(func(t *testing.T, body []byte, contentType, os, architecture string) {
		m, err := parseManifest(body, contentType)
		if err != nil || !m.isIndex() {
			return
		}
		content, err := m.index()
		if err != nil {
			return
		}
		if len(content.Images) > maxIndexedImages {
			t.Errorf("%d images", len(content.Images))
		}
		for _, image := range content.Images {
			if image.Digest == "" || image.Platform.OS == "unknown" || image.Platform.Architecture == "unknown" {
				t.Errorf("an entry that is no image: %+v", image)
			}
			checkPlatform(t, image.Platform)
			checkMoment(t, image.AnnotationCreated)
		}
		checkMoment(t, content.AnnotationCreated)
		wanted := posture.Platform{OS: os, Architecture: architecture}
		chosen, found := posture.Choose(content.Images, wanted)
		if found && wanted != (posture.Platform{}) && (chosen.Platform.OS != os || chosen.Platform.Architecture != architecture) {
			t.Errorf("chosen %+v for %s", chosen.Platform, wanted)
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add([]byte(`{"created":"2026-01-10T08:00:00Z","history":[{"created":"2026-01-11T08:00:00.1+02:00"},{}],"config":{"Labels":{"a":"b"}}}`))
	f.Add([]byte(`{"created":0,"history":null}`))
	for _, year := range []string{"0000", "0001", "1969", "1970", "1980", "2026", "9999", "-001", "12345"} {
		f.Add([]byte(`{"created":"` + year + `-12-31T23:59:59.999999999-23:59","history":[{"created":"` + year + `-01-01T00:00:00+23:59"}]}`))
	}
	f.Add([]byte(`{"rootfs":{"type":"layers","diff_ids":["` + digestOf(nil) + `","` + digestOf([]byte("b")) + `"]}}`))
	f.Add([]byte(`{"os":"//"}`))
	f.Add([]byte(`{"rootfs":{"diff_ids":[7]},"os":"a/b/c","architecture":"d","variant":"/"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		config, err := parseConfig(body)
		if err != nil {
			return
		}
		content := manifest{Config: &v1.Descriptor{}}.image(config)
		for _, entry := range config.History {
			if entry.Created.After(content.HistoryCreated) {
				t.Errorf("%s is newer than the newest, %s", entry.Created, content.HistoryCreated)
			}
		}
		for _, date := range []time.Time{content.ConfigCreated, content.HistoryCreated, content.AnnotationCreated} {
			checkMoment(t, date)
		}
		checkPlatform(t, content.Platform)
		if _, err := v1.NewHash(content.Layers); err != nil && content.Layers != "" {
			t.Errorf("layers %q", content.Layers)
		}
	})
}

// checkMoment says whether an API object can carry a date and gives it back as it was.
func checkMoment(t *testing.T, date time.Time) {
	t.Helper()
	var back metav1.Time
	raw, err := json.Marshal(metav1.NewTime(date))
	if err == nil {
		err = json.Unmarshal(raw, &back)
	}
	if err != nil || !back.Time.Equal(date) {
		t.Errorf("%s comes back from %s as %s: %v", date, raw, back.Time, err)
	}
}

func checkPlatform(t *testing.T, platform posture.Platform) {
	t.Helper()
	if text := platform.String(); len(text) > maxPlatformBytes || posture.ParsePlatform(text) != platform {
		t.Errorf("%+v does not come back from %q", platform, text)
	}
}

// indexOf is an index with so many images.
func indexOf(images int) []byte {
	entries := make([]object, 0, images)
	for i := range images {
		entries = append(entries, indexEntry(digestOf([]byte{byte(i), byte(i >> 8)}), "linux", "arm64"))
	}
	return encode(object{"schemaVersion": 2, "mediaType": ociIndex, "manifests": entries})
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
