// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// title announces a part of the tour; bold on a terminal, plain when piped or where NO_COLOR is set.
func title(text string) {
	if about, err := os.Stdout.Stat(); err == nil && about.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	fmt.Printf("\n== %s\n", text)
}

func say(text string) { fmt.Printf("\n%s\n", text) }

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

// show runs kubectl as a person would, and prints the command and what it answers.
func (s *stage) show(ctx context.Context, words ...string) error {
	fmt.Println("\n$ kubectl " + strings.Join(words, " "))
	output, err := s.kubectl(ctx, words...)
	fmt.Print(output)
	return err
}

// showRefused runs kubectl, prints the command and the refusal, and fails if nothing was refused.
func (s *stage) showRefused(ctx context.Context, words ...string) error {
	fmt.Println("\n$ kubectl " + strings.Join(words, " "))
	output, err := s.kubectl(ctx, words...)
	if err == nil {
		fmt.Print(output)
		return errors.New("this should have been refused")
	}
	_, complaint, _ := strings.Cut(err.Error(), ": ")
	fmt.Println(complaint)
	if !strings.Contains(complaint, "labguard:") {
		return errors.New("this was refused by somebody else than labguard")
	}
	return nil
}

// apply applies manifests and says what they are.
func (s *stage) apply(ctx context.Context, what, manifests string) error {
	fmt.Printf("\n$ kubectl apply -f - # %s\n", what)
	output, err := s.kubectlWith(ctx, manifests, "apply", "-f", "-")
	fmt.Print(output)
	return err
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
