// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/labguard/labguard/hack/devcluster/internal/lifeline"
	"github.com/labguard/labguard/hack/devcluster/internal/thread"
)

// tailLines is how many of its last log lines a failure shows.
const tailLines = 15

// A Process is a running part of the cluster.
type Process struct {
	// Name is the program's name.
	Name string
	// Log is the path of the file with all that it printed.
	Log string

	cmd *exec.Cmd
	// done is closed when the process is gone; ended is set before.
	done  chan struct{}
	ended error
}

// A Starter starts processes from the program file at Path.
type Starter struct {
	Path string
	Line *lifeline.Line
	// Thread is where children are started: Linux ties a child's parent-death signal
	// to the thread that started it, not to the process, so that a child would die
	// when the Go runtime retires that thread. Children also begin in the network
	// namespace of this thread.
	Thread *thread.Thread
}

// A Command is a program to start.
type Command struct {
	// Name is what the process is called in messages.
	Name string
	// Path is the program's file, Args are its arguments without its own name.
	Path string
	Args []string
	// Log is the file that gets what it prints.
	Log string
	// Env is added to the environment of this process.
	Env []string
	// Adjust may change how the process is made; nil changes nothing.
	Adjust func(*syscall.SysProcAttr)
}

// Start runs the program name of the file at Path with args. What it prints goes
// to the file log.
func (s Starter) Start(ctx context.Context, name, log string, args []string) (*Process, error) {
	return s.StartCommand(ctx, Command{Name: name, Path: s.Path, Args: append([]string{name}, args...), Log: log})
}

// StartCommand runs any program. It outlives ctx: a cluster stops its parts in
// order, by Stop.
func (s Starter) StartCommand(ctx context.Context, c Command) (*Process, error) {
	f, err := os.Create(c.Log)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	defer func() { _ = f.Close() }()
	cmd := exec.CommandContext(context.WithoutCancel(ctx), c.Path, c.Args...)
	cmd.Stdout, cmd.Stderr = f, f
	cmd.Env = append(cmd.Environ(), c.Env...)
	// A group of its own keeps Ctrl-C on a terminal from reaching it: its parent
	// stops it, when its turn comes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	dieWithParent(cmd.SysProcAttr)
	if c.Adjust != nil {
		c.Adjust(cmd.SysProcAttr)
	}
	s.Line.Tie(cmd)
	if err := s.Thread.Do(cmd.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	p := &Process{Name: c.Name, Log: c.Log, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.ended = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process is gone.
func (p *Process) Done() <-chan struct{} { return p.done }

// Failure describes the end of a process that should still run.
func (p *Process) Failure() error {
	<-p.done
	how := "ended"
	if p.ended != nil {
		how = p.ended.Error()
	}
	return &EndedError{Name: p.Name, How: how, Log: p.Log, Tail: p.tail()}
}

// An EndedError is a process that ended when it should not have.
type EndedError struct {
	// Name is the program, How says how it ended.
	Name, How string
	// Log is the path of its log, Tail are the last lines of it.
	Log  string
	Tail []string
}

func (e *EndedError) Error() string {
	return fmt.Sprintf("%s died early (%s). The end of %s:\n    %s", e.Name, e.How, e.Log, strings.Join(e.Tail, "\n    "))
}

// AddressInUse reports whether it ended as another program had its port.
func (e *EndedError) AddressInUse() bool {
	return strings.Contains(strings.Join(e.Tail, "\n"), "address already in use")
}

func (p *Process) tail() []string {
	content, err := os.ReadFile(p.Log)
	if err != nil {
		return []string{err.Error()}
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return lines[max(0, len(lines)-tailLines):]
}

// Stop asks the process to end and waits for it. If it is still there after
// grace, it is killed.
func (p *Process) Stop(grace time.Duration) {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// errNotReady is a probe that did not succeed within its time.
var errNotReady = errors.New("not ready in time")

// probeEvery is how often a condition is looked at. Each look is one request
// over loopback.
const probeEvery = 25 * time.Millisecond

// Await returns when probe succeeds, or fails when the process ends or ctx does.
func (p *Process) Await(ctx context.Context, probe func(context.Context) error) error {
	ticker := time.NewTicker(probeEvery)
	defer ticker.Stop()
	for {
		err := probe(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-p.done:
			return p.Failure()
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err()
			}
			return fmt.Errorf("%s: %w: %w. The end of %s:\n    %s", p.Name, errNotReady, err, p.Log, strings.Join(p.tail(), "\n    "))
		}
	}
}
