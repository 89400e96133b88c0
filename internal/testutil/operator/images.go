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

// pushed is what the registry has under each reference, and which test put it there.
var pushed = struct {
	sync.Mutex
	images map[string]pushedImage
}{images: map[string]pushedImage{}}

type pushedImage struct {
	test string
	age  time.Duration
}

// Push puts an image that was made a while ago into the registry of the cluster and returns its reference. An age of zero leaves the date out, as
// reproducible builds do. Tests share a reference only while they mean an image of the same age.
func Push(t testing.TB, repositoryAndTag string, age time.Duration) string {
	t.Helper()
	reference := cluster.RegistryHost() + "/" + repositoryAndTag
	pushed.Lock()
	defer pushed.Unlock()
	if before, there := pushed.images[reference]; there && before.test != t.Name() {
		if before.age != age {
			t.Fatalf("%s is an image of another age for %s: labguard believes a tag that it has read for a minute", reference, before.test)
		}
		return reference
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
	pushed.images[reference] = pushedImage{test: t.Name(), age: age}
	return reference
}
