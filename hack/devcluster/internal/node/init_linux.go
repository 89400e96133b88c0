// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/labguard/labguard/hack/devcluster/internal/cgroup"
	"github.com/labguard/labguard/hack/devcluster/internal/component"
	"github.com/labguard/labguard/hack/devcluster/internal/lifeline"
	"github.com/labguard/labguard/hack/devcluster/internal/process"
	"github.com/labguard/labguard/hack/devcluster/internal/thread"
)

// podCgroups is the cgroup that containerd makes all containers in.
const podCgroups = "k8s.io"

// startTimeout bounds how long a part may take to answer.
const startTimeout = time.Minute

// Init is the first process of the node: it takes the exit codes of what others
// leave, as each container's monitor is, and ends with the one process that it
// starts, which runs the parts. args are its name and the plan.
func Init(args []string) int {
	self, err := os.Executable()
	if err != nil {
		return complain(err)
	}
	p, err := readPlan(args[1])
	if err != nil {
		return complain(err)
	}
	if err := p.enterMounts(); err != nil {
		return complain(err)
	}
	if err := cgroup.Enter(p.Cgroup); err != nil {
		return complain(err)
	}
	child, err := os.StartProcess(self, []string{self, component.NodeParts, args[1]}, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		// It sees the cgroup that it begins in as the root.
		Sys: &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWCGROUP},
	})
	if err != nil {
		return complain(err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	go func() {
		for range signals {
			_ = child.Signal(syscall.SIGTERM)
		}
	}()
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case err != nil:
			return complain(fmt.Errorf("wait for processes: %w", err))
		case pid == child.Pid:
			return status.ExitStatus()
		}
	}
}

// Parts runs the parts of the node until it is told to end or one of them ends.
func Parts(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	p, err := readPlan(args[1])
	if err != nil {
		return complain(err)
	}
	if err := cgroup.MountRoot(); err != nil {
		return complain(err)
	}
	if err := p.run(ctx); err != nil && ctx.Err() == nil {
		return complain(err)
	}
	return 0
}

func complain(err error) int {
	fmt.Fprintf(os.Stderr, "node: %v\n", err)
	return 1
}

func readPlan(file string) (plan, error) {
	var p plan
	content, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return p, fmt.Errorf("read the plan: %w", err)
	}
	if err := json.Unmarshal(content, &p); err != nil {
		return p, fmt.Errorf("read the plan: %w", err)
	}
	return p, nil
}

// run starts the parts in order, and returns when one ends or ctx does. The rest
// of the node ends with its first process.
func (p plan) run(ctx context.Context) error {
	if err := os.Setenv("PATH", p.Path); err != nil {
		return fmt.Errorf("set PATH: %w", err)
	}
	line, err := lifeline.New()
	if err != nil {
		return err
	}
	starter := process.Starter{Line: line, Thread: thread.New()}
	died := make(chan *process.Process, len(p.Parts))
	for _, part := range p.Parts {
		started, err := starter.StartCommand(ctx, process.Command{Name: part.Name, Path: part.Path, Args: part.Args, Log: part.Log})
		if err != nil {
			return err
		}
		go func() {
			<-started.Done()
			died <- started
		}()
		if part.Socket != "" {
			if err := awaitSocket(ctx, started, part.Socket); err != nil {
				return err
			}
		}
	}
	select {
	case <-ctx.Done():
		// Their connections end while there is a network to say so. The API server would
		// wait for them.
		return cgroup.Kill(podCgroups)
	case ended := <-died:
		return ended.Failure()
	}
}

func awaitSocket(ctx context.Context, p *process.Process, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return p.Await(ctx, func(ctx context.Context) error {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socket)
		if err != nil {
			return err
		}
		return conn.Close()
	})
}
