// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// patience bounds every wait; most end within seconds.
const patience = 3 * time.Minute

// stage is what the run stands on.
type stage struct {
	progress io.Writer
	// dir holds everything that the run writes.
	dir        string
	kubeconfig string
	registry   string
	access     *rest.Config
	client     kubernetes.Interface
	// image is the reference of an image in the registry, by digest.
	image string

	cluster, noop, manager *program
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

func (s *stage) say(format string, args ...any) { _, _ = fmt.Fprintf(s.progress, format+"\n", args...) }

// program is a process that this one has started.
type program struct {
	command *exec.Cmd
	ended   chan struct{}
	log     string
}

// start runs a program that ends when it is told to. Its output goes to a file, for the case that it ends too early.
func (s *stage) start(name string, command *exec.Cmd) (*program, error) {
	p := &program{command: command, ended: make(chan struct{}), log: s.path(name + ".log")}
	log, err := os.Create(p.log)
	if err != nil {
		return nil, fmt.Errorf("write the log of %s: %w", name, err)
	}
	command.Stderr = log
	if command.Stdout == nil {
		command.Stdout = log
	}
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches this process alone, which then ends the others in order
	if err := command.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", name, err), log.Close())
	}
	go func() {
		_ = command.Wait() // how it ended is in its log
		_ = log.Close()
		close(p.ended)
	}()
	return p, nil
}

// alive is an error with the last words of a program that has ended.
func (p *program) alive() error {
	select {
	case <-p.ended:
		words, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s has ended: %s", filepath.Base(p.command.Path), words[max(0, len(words)-4000):])
	default:
		return nil
	}
}

// end interrupts a program and waits until it is gone.
func (p *program) end() {
	if p == nil {
		return
	}
	_ = p.command.Process.Signal(os.Interrupt) // it may have ended by itself
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		_ = p.command.Process.Kill()
		<-p.ended
	}
}

// build compiles the cluster (minutes the first time on a machine, and it says so) and the manager.
func (s *stage) build(ctx context.Context) error {
	var err error
	if s.dir, err = os.MkdirTemp("", "labguard-bench-"); err != nil {
		return fmt.Errorf("make a folder: %w", err)
	}
	for _, words := range [][]string{{"run", "./hack/build", "devcluster"}, {"build", "-o", s.path("manager"), "./cmd/manager"}} {
		s.say("go %s", strings.Join(words, " "))
		command := exec.CommandContext(ctx, "go", words...)
		command.Stdout, command.Stderr = s.progress, s.progress
		if err := command.Run(); err != nil {
			return fmt.Errorf("go %s: %w", strings.Join(words, " "), err)
		}
	}
	return nil
}

func (s *stage) startCluster(ctx context.Context) error {
	s.say("starting Kubernetes")
	command := exec.CommandContext(context.WithoutCancel(ctx), "bin/devcluster", "up", "--dir", s.path("cluster"), "--crds", "config/crd/bases", "--stop-on-stdin-eof")
	if _, err := command.StdinPipe(); err != nil { // stays open as long as this process lives
		return fmt.Errorf("start the cluster: %w", err)
	}
	output, told := io.Pipe()
	command.Stdout = told
	var err error
	if s.cluster, err = s.start("devcluster", command); err != nil {
		return err
	}
	ready := make(chan struct{})
	go func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			if lines.Text() == "ready" {
				close(ready)
			}
		}
	}()
	select {
	case <-ready:
		return s.connect()
	case <-s.cluster.ended:
		return s.cluster.alive()
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *stage) connect() error {
	content, err := os.ReadFile(s.path("cluster/cluster.json"))
	if err != nil {
		return fmt.Errorf("read about the cluster: %w", err)
	}
	var about struct {
		Kubeconfig string `json:"kubeconfig"`
		Registry   string `json:"registry"`
	}
	if err := json.Unmarshal(content, &about); err != nil {
		return fmt.Errorf("read about the cluster: %w", err)
	}
	s.kubeconfig, s.registry = about.Kubeconfig, about.Registry
	if s.access, err = clientcmd.BuildConfigFromFlags("", s.kubeconfig); err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	s.access.QPS = -1
	if s.client, err = kubernetes.NewForConfig(s.access); err != nil {
		return fmt.Errorf("connect to the cluster: %w", err)
	}
	return nil
}

// kubectl runs kubectl as administrator.
func (s *stage) kubectl(ctx context.Context, input string, words ...string) error {
	command := exec.CommandContext(ctx, "bin/devcluster", append([]string{"kubectl"}, words...)...)
	command.Env = append(os.Environ(), "KUBECONFIG="+s.kubeconfig, "KUBERC=off", "KUBECACHEDIR="+s.path("kubectl"))
	command.Stdin = strings.NewReader(input)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("kubectl %s: %s", strings.Join(words, " "), strings.TrimSpace(string(output)))
	}
	return nil
}

// until waits until a question is answered without an error.
func (s *stage) until(ctx context.Context, what string, ask func(context.Context) error) error {
	s.say("waiting until %s", what)
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ask(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("waited until %s: %w", what, err)
		}
	}
}

// tearDown ends what was started, the cluster last, and removes what was written.
func (s *stage) tearDown() error {
	if s.dir == "" {
		return nil
	}
	s.say("ending")
	for _, one := range []*program{s.manager, s.noop, s.cluster} {
		one.end()
	}
	return os.RemoveAll(s.dir)
}
