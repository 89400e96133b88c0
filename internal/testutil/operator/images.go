// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

// pushedBy names the test of every image by its reference.
var pushedBy sync.Map

// Push puts an image that was made a while ago into the registry of the cluster and returns its reference. An age of zero leaves the date out, as
// reproducible builds do.
func Push(t testing.TB, repositoryAndTag string, age time.Duration) string {
	t.Helper()
	reference := cluster.RegistryHost() + "/" + repositoryAndTag
	if owner, taken := pushedBy.LoadOrStore(reference, t.Name()); taken && owner != t.Name() {
		t.Fatalf("%s is an image of %s: a tag that labguard has read is believed for a minute, so every test needs names of its own", reference, owner)
	}
	parsed, err := name.ParseReference(reference, name.Insecure)
	if err != nil {
		t.Fatalf("parse %s: %v", reference, err)
	}
	var image v1.Image = empty.Image
	if age != 0 {
		if image, err = mutate.CreatedAt(image, v1.Time{Time: time.Now().Add(-age).UTC()}); err != nil {
			t.Fatalf("date %s: %v", reference, err)
		}
	}
	if err := remote.Write(parsed, image, remote.WithContext(t.Context())); err != nil {
		t.Fatalf("push %s: %v", reference, err)
	}
	return reference
}
