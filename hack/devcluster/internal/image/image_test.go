// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package image

import (
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestPushedImageRunsTheProgram(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "pause")
	if err := os.WriteFile(file, []byte("program"), 0o600); err != nil {
		t.Fatal(err)
	}
	repository := strings.TrimPrefix(server.URL, "http://") + "/devcluster/pause"
	reference, err := Push(t.Context(), repository, file)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := Push(t.Context(), repository, file); err != nil || again != reference {
		t.Errorf("the same program is another image: %s, %v, first %s", again, err, reference)
	}
	parsed, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	pulled, err := remote.Image(parsed)
	if err != nil {
		t.Fatal(err)
	}
	config, err := pulled.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Config.Entrypoint; len(got) != 1 || got[0] != "/pause" || config.OS != "linux" || config.Architecture == "" {
		t.Errorf("got %+v", config)
	}
	content, err := io.ReadAll(mutate.Extract(pulled))
	if err != nil || !strings.Contains(string(content), "program") {
		t.Errorf("the program is not in the image: %v", err)
	}
}
