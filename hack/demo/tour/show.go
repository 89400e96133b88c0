// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tour

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"k8s.io/utils/clock"
)

// patience bounds every wait of the tour; most end within seconds.
const patience = 3 * time.Minute

// Tour is one walk, and what it needs.
type Tour struct {
	// Out is where the tour is shown; Bold has titles stand out on a terminal.
	Out  io.Writer
	Bold bool
	// Kubectl runs kubectl as an administrator, with input at its standard input. Its error has what kubectl complains about, after the first ": ".
	Kubectl func(ctx context.Context, input string, words ...string) (string, error)
	Clock   clock.WithTicker

	// Registry is the host and port of the registry as pods and labguard know it. PushRegistry is how this process knows it; empty: the same.
	Registry, PushRegistry string
	// Image is what all images are but for their dates, and has none itself; nil: empty images, which nothing can run.
	Image v1.Image
}

func (t *Tour) printf(format string, values ...any) { _, _ = fmt.Fprintf(t.Out, format, values...) }

// Title announces a part of the tour.
func (t *Tour) Title(text string) {
	if t.Bold {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	t.printf("\n== %s\n", text)
}

func (t *Tour) say(text string) { t.printf("\n%s\n", text) }

func (t *Tour) kubectl(ctx context.Context, words ...string) (string, error) {
	return t.Kubectl(ctx, "", words...)
}

// Show runs kubectl as a person would, and prints the command and what it answers.
func (t *Tour) Show(ctx context.Context, words ...string) error {
	t.printf("\n$ kubectl %s\n", strings.Join(words, " "))
	output, err := t.kubectl(ctx, words...)
	t.printf("%s", output)
	return err
}

// showRefused runs kubectl, prints the command and the refusal, and fails if nothing was refused.
func (t *Tour) showRefused(ctx context.Context, words ...string) error {
	t.printf("\n$ kubectl %s\n", strings.Join(words, " "))
	output, err := t.kubectl(ctx, words...)
	if err == nil {
		t.printf("%s", output)
		return errors.New("this should have been refused")
	}
	_, complaint, _ := strings.Cut(err.Error(), ": ")
	t.printf("%s\n", complaint)
	if !strings.Contains(complaint, "labguard:") {
		return errors.New("this was refused by somebody else than labguard")
	}
	return nil
}

// Apply applies manifests and says what they are.
func (t *Tour) Apply(ctx context.Context, what, manifests string) error {
	t.printf("\n$ kubectl apply -f - # %s\n", what)
	output, err := t.Kubectl(ctx, manifests, "apply", "-f", "-")
	t.printf("%s", output)
	return err
}

// Until waits for a condition, and says after a while what it waits for.
func (t *Tour) Until(ctx context.Context, what string, met func(context.Context) error) error {
	begun, told := t.Clock.Now(), false
	ticker := t.Clock.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := met(ctx)
		if err == nil {
			return nil
		}
		if t.Clock.Since(begun) > patience {
			return fmt.Errorf("waited %s until %s: %w", patience, what, err)
		}
		if !told && t.Clock.Since(begun) > 2*time.Second {
			t.printf("  waiting until %s ...\n", what)
			told = true
		}
		select {
		case <-ticker.C():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
