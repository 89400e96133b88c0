// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tour

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func (t *Tour) pushRegistry() string { return cmp.Or(t.PushRegistry, t.Registry) }

// pushImages puts images of several ages into the registry.
func (t *Tour) pushImages(ctx context.Context) error {
	t.Title("Pushing images of several ages to " + t.Registry)
	ages := []struct {
		image string
		age   time.Duration
	}{{"lab/lis:2.4", 12 * day}, {"lab/lis:2.3", 45 * day}, {"lab/lis:1.9", 400 * day}, {"lab/analyzer-gateway:5", 80 * day}, {"lab/reproducible:1", 0}}
	for _, one := range ages {
		if err := t.push(ctx, one.image, one.age); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tour) push(ctx context.Context, image string, age time.Duration) error {
	reference, err := name.ParseReference(t.pushRegistry()+"/"+image, name.Insecure)
	if err != nil {
		return fmt.Errorf("push %s: %w", image, err)
	}
	words := "without a date, as reproducible builds are"
	content := t.Image
	if content == nil {
		content = empty.Image
	}
	if age != 0 {
		words = fmt.Sprintf("%.0f days old", age.Hours()/24)
		if age < 2*day {
			words = "a day old"
		}
		if content, err = mutate.CreatedAt(content, v1.Time{Time: t.Clock.Now().Add(-age).UTC()}); err != nil {
			return fmt.Errorf("push %s: %w", image, err)
		}
	}
	t.printf("  %-24s %s\n", image, words)
	if err := remote.Write(reference, content, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("push %s: %w", image, err)
	}
	return nil
}
