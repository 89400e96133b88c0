// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	// A cluster is ready in seconds; a machine busy with other tests may need more.
	startTimeout = 4 * time.Minute
	// It gives each of its parts ten seconds to end, in three steps.
	stopTimeout = time.Minute
)

// instance is a running cluster, as its cluster.json describes it.
type instance struct {
	// program is the path of devcluster, dir the folder of the cluster.
	program, dir string

	PID        int                  `json:"pid"`
	Kubeconfig string               `json:"kubeconfig"`
	Registry   string               `json:"registry"`
	AuditLog   string               `json:"auditLog"`
	Node       *NodeState           `json:"node"`
	Components map[string]component `json:"components"`
	// AuthenticationConfig is the file that Authenticate writes.
	AuthenticationConfig string `json:"authenticationConfig"`
}

// NodeState is what cluster.json says about the node of a cluster.
type NodeState struct {
	// Name is the name of the Node, Address its own, PodIPs the range of those of pods.
	Name    string `json:"name"`
	Address string `json:"address"`
	PodIPs  string `json:"podIPs"`
	// Registry is the host:port of the registry for pods.
	Registry string `json:"registry"`
	// Switches is the URL of the switches of the policy enforcer.
	Switches string `json:"switches"`
	// Network is a path that names the network namespace of the node.
	Network string `json:"network"`
	// Cgroup is the name of the cgroup that all of the node is in.
	Cgroup string `json:"cgroup"`
	// PodLogs is the folder with the logs of containers, by pod.
	PodLogs string `json:"podLogs"`
}

type component struct {
	PID int `json:"pid"`
}

// checkout is the root of the checkout.
func checkout(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the checkout: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// build compiles devcluster, unless it is there, and returns its path. What a node
// needs besides is linked beside it.
func build(ctx context.Context, o options) (string, error) {
	root, err := checkout(ctx)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "run", "./hack/build", "devcluster")
	if o.node {
		cmd.Args = append(cmd.Args, "node")
	}
	cmd.Dir = root
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("compile devcluster: %w", err)
	}
	// Another checkout state may move the link while these tests run.
	program, err := filepath.EvalSymlinks(filepath.Join(root, "bin", "devcluster"))
	if err != nil {
		return "", fmt.Errorf("find devcluster: %w", err)
	}
	return program, nil
}

// nodePrograms is the folder of what only a node needs.
func nodePrograms(ctx context.Context) (string, error) {
	root, err := checkout(ctx)
	if err != nil {
		return "", err
	}
	programs, err := filepath.EvalSymlinks(filepath.Join(root, "bin", "node"))
	if err != nil {
		return "", fmt.Errorf("find the programs of a node: %w", err)
	}
	return programs, nil
}

// describe reads what the cluster in dir says about itself.
func describe(program, dir string) (instance, error) {
	content, err := fs.ReadFile(os.DirFS(dir), "cluster.json")
	if err != nil {
		return instance{}, fmt.Errorf("is it running? %w", err)
	}
	i := instance{program: program, dir: dir}
	if err := json.Unmarshal(content, &i); err != nil {
		return instance{}, fmt.Errorf("read cluster.json: %w", err)
	}
	return i, nil
}

// attach uses a cluster that runs already, and installs crds in it.
func attach(ctx context.Context, program, dir string, crds []string) (instance, error) {
	i, err := describe(program, dir)
	if err != nil {
		return instance{}, err
	}
	for _, path := range crds {
		if _, err := i.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", path); err != nil {
			return instance{}, err
		}
		if _, err := i.kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "-f", path); err != nil {
			return instance{}, err
		}
	}
	return i, nil
}

// kubectl returns what kubectl prints. An error carries what it complains about.
func (i instance) kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, i.program, append([]string{"kubectl", "--kubeconfig", i.Kubeconfig}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	// What a developer keeps for kubectl must not change what tests see, nor tests
	// leave anything there.
	cmd.Env = append(cmd.Environ(), "KUBERC=off", "KUBECACHEDIR="+filepath.Join(i.dir, "kubectl-cache"))
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// process is a cluster that this process started.
type process struct {
	instance
	cmd *exec.Cmd
	// stdin is held open: the cluster stops when it is closed, which the kernel
	// does should this process be killed.
	stdin io.Closer
	ended chan error
}

// start runs a cluster in dir and returns when it is ready. Why it fails, now or
// later, goes to stderr.
func start(ctx context.Context, program, dir string, o options, stderr io.Writer) (*process, error) {
	args := []string{"up", "--dir", dir, "--stop-on-stdin-eof"}
	for _, path := range o.crds {
		args = append(args, "--crds", path)
	}
	if o.authentication != "" {
		args = append(args, "--authentication-config", o.authentication)
	}
	if o.node {
		programs, err := nodePrograms(ctx)
		if err != nil {
			return nil, err
		}
		args = append(args, "--node", "--node-programs", programs)
	}
	// Stop ends it, by a signal: a context would kill it.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), program, args...)
	cmd.Stderr = stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start a cluster: %w", err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a cluster: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a cluster: %w", err)
	}
	p := &process{cmd: cmd, stdin: stdin, ended: make(chan error, 1)}
	ready := make(chan struct{})
	go func() {
		awaitReady(stdout, ready)
		p.ended <- cmd.Wait()
	}()
	select {
	case <-ready:
	case err := <-p.ended:
		p.ended <- err
		return nil, fmt.Errorf("start a cluster: it ended: %w", err)
	case <-time.After(startTimeout):
		return nil, errors.Join(fmt.Errorf("start a cluster: not ready after %s", startTimeout), p.stop())
	}
	if p.instance, err = describe(program, dir); err != nil {
		return nil, errors.Join(fmt.Errorf("start a cluster: %w", err), p.stop())
	}
	return p, nil
}

// awaitReady closes ready at the line "ready" and reads on to the end.
func awaitReady(stdout io.Reader, ready chan<- struct{}) {
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if lines.Text() == "ready" {
			close(ready)
			break
		}
	}
	_, _ = io.Copy(io.Discard, stdout)
}

// stop ends the cluster and returns when it is gone.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(os.Interrupt)
	return p.wait()
}

// wait returns when the cluster is gone; one that stays is killed.
func (p *process) wait() error {
	select {
	case err := <-p.ended:
		_ = p.stdin.Close()
		if err != nil {
			return fmt.Errorf("stop the cluster: %w", err)
		}
		return nil
	case <-time.After(stopTimeout):
		_ = p.cmd.Process.Kill()
		return fmt.Errorf("stop the cluster: still there after %s, killed", stopTimeout)
	}
}
