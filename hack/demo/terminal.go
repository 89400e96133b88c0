// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"k8s.io/utils/clock"

	"github.com/labguard/labguard/hack/demo/tour"
)

// newTour is the tour on this terminal: bold where it is one, plain when piped or where NO_COLOR is set.
func newTour(s *stage) tour.Tour {
	about, err := os.Stdout.Stat()
	terminal := err == nil && about.Mode()&os.ModeCharDevice != 0
	return tour.Tour{Out: os.Stdout, Bold: terminal && os.Getenv("NO_COLOR") == "", Kubectl: s.kubectlWith, Clock: clock.RealClock{}}
}

// kubectl runs kubectl and returns what it prints; the error has what it complains about.
func (s *stage) kubectl(ctx context.Context, words ...string) (string, error) {
	return s.kubectlWith(ctx, "", words...)
}

func (s *stage) kubectlWith(ctx context.Context, input string, words ...string) (string, error) {
	command := exec.CommandContext(ctx, "bin/devcluster", append([]string{"kubectl"}, words...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig)
	command.Stdin = strings.NewReader(input)
	var complaints strings.Builder
	command.Stderr = &complaints
	output, err := command.Output()
	if err != nil {
		return string(output), fmt.Errorf("kubectl %s: %s", strings.Join(words, " "), strings.TrimSpace(complaints.String()))
	}
	return string(output) + complaints.String(), nil
}

// kubectlName is how a person runs kubectl after the tour.
func (s *stage) kubectlName() string {
	if _, err := exec.LookPath("kubectl"); err == nil {
		return "kubectl"
	}
	path, err := filepath.Abs("bin/devcluster")
	if err != nil {
		path = "bin/devcluster"
	}
	return path + " kubectl"
}
