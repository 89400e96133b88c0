// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/labguard/labguard/hack/demo/tour"
)

// stage is what the demo stands on: a cluster, a registry and the operator.
type stage struct {
	// dir holds everything that the demo writes.
	dir string
	// kubeconfig is the administrator's; foreign says that it was given, so that the cluster is not ours to end.
	kubeconfig string
	foreign    bool
	own        *httptest.Server
	// tour is what is shown; it knows the registry.
	tour tour.Tour

	cluster, operator           *exec.Cmd
	clusterEnded, operatorEnded chan struct{}
}

func (s *stage) path(name string) string { return filepath.Join(s.dir, name) }

// prepare builds what is run: the cluster (minutes the first time on a machine, and it says so) and the operator.
func (s *stage) prepare(ctx context.Context) error {
	var err error
	if s.dir, err = os.MkdirTemp("", "labguard-demo-"); err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	s.tour.Title("Building")
	for _, words := range [][]string{{"run", "./hack/build", "devcluster"}, {"build", "-o", "bin/manager", "./cmd/manager"}} {
		build := exec.CommandContext(ctx, "go", words...)
		build.Stdout, build.Stderr = os.Stdout, os.Stderr
		fmt.Println("  go " + strings.Join(words, " "))
		if err := build.Run(); err != nil {
			return fmt.Errorf("go %s: %w", strings.Join(words, " "), err)
		}
	}
	return nil
}

// startCluster starts a cluster of our own, or takes the one of KUBECONFIG.
func (s *stage) startCluster(ctx context.Context) error {
	if given := os.Getenv("KUBECONFIG"); given != "" {
		return s.takeCluster(ctx, given)
	}
	s.tour.Title("Starting Kubernetes")
	s.cluster = exec.CommandContext(context.WithoutCancel(ctx), "bin/devcluster", "up", "--dir", s.path("cluster"), "--crds", "config/crd/bases")
	s.cluster.Stderr = os.Stderr
	output, err := s.cluster.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start the cluster: %w", err)
	}
	detach(s.cluster)
	if err := s.cluster.Start(); err != nil {
		return fmt.Errorf("start the cluster: %w", err)
	}
	ready := make(chan struct{})
	s.clusterEnded = make(chan struct{})
	go func() {
		lines := bufio.NewScanner(output)
		for lines.Scan() {
			fmt.Println("  " + lines.Text())
			if lines.Text() == "ready" {
				close(ready)
			}
		}
		_ = s.cluster.Wait() // how it ended was printed
		close(s.clusterEnded)
	}()
	select {
	case <-ready:
	case <-s.clusterEnded:
		return errors.New("the cluster did not start")
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.readCluster()
}

func (s *stage) readCluster() error {
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
	s.kubeconfig, s.tour.Registry = about.Kubeconfig, about.Registry
	return nil
}

// takeCluster uses a cluster that is there. Its API server has to reach the operator's webhooks on this machine.
func (s *stage) takeCluster(ctx context.Context, kubeconfig string) error {
	s.tour.Title("Using the cluster of KUBECONFIG")
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return fmt.Errorf("read KUBECONFIG %s: %w", kubeconfig, err)
	}
	host, _, err := net.SplitHostPort(strings.TrimPrefix(config.Host, "https://"))
	if err != nil || host != "localhost" && !net.ParseIP(host).IsLoopback() {
		return fmt.Errorf("the API server %s is on another machine and could not reach the webhooks of an operator on this one: "+
			"use a cluster that runs here, or leave KUBECONFIG empty", config.Host)
	}
	s.kubeconfig, s.foreign = kubeconfig, true
	s.own = httptest.NewServer(registry.New())
	s.tour.Registry = strings.TrimPrefix(s.own.URL, "http://")
	found, err := s.kubectl(ctx, "get", "customresourcedefinitions", "labworkloads.labguard.dev", "--ignore-not-found", "-o", "name")
	if err == nil && found != "" {
		s.foreign = false
		return errors.New("the cluster of KUBECONFIG has labguard already, and the demo would remove it at its end: use another, or leave KUBECONFIG empty")
	}
	return err
}

// tearDown ends what the demo started and removes what it wrote. In a cluster that was given, it removes labguard and the demo's namespaces.
func (s *stage) tearDown(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var failed []error
	if s.operator != nil || s.clusterEnded != nil {
		fmt.Println("\nEnding.")
	}
	if s.foreign && s.operator != nil {
		failed = append(failed, s.removeFromCluster(ctx))
	}
	end(s.operator, s.operatorEnded)
	end(s.cluster, s.clusterEnded)
	if s.own != nil {
		s.own.Close()
	}
	if s.dir != "" {
		failed = append(failed, os.RemoveAll(s.dir))
	}
	return errors.Join(failed...)
}

func (s *stage) removeFromCluster(ctx context.Context) error {
	for _, words := range [][]string{
		{"delete", "--ignore-not-found", "clusterrole", "labguard-webhook-anchor"},
		{"delete", "--ignore-not-found", "--wait=false", "namespace", tour.Pathology, tour.Chemistry},
		{"delete", "--ignore-not-found", "--wait=false", "-k", "config/rbac"},
		{"delete", "--ignore-not-found", "--wait=false", "-k", "config/crd"},
		{"delete", "--ignore-not-found", "-f", laboratoryCA},
		{"delete", "--ignore-not-found", "-n", "cert-manager", "secret/lab-ca"},
		{"delete", "--ignore-not-found", "--wait=false", "namespace", "labguard-system"},
	} {
		if _, err := s.kubectl(ctx, words...); err != nil {
			return err
		}
	}
	return nil
}

// end interrupts a process and waits until it is gone.
func end(process *exec.Cmd, ended chan struct{}) {
	if process == nil || process.Process == nil || ended == nil {
		return
	}
	_ = process.Process.Signal(os.Interrupt) // it may have ended by itself
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		_ = process.Process.Kill()
		<-ended
	}
}
