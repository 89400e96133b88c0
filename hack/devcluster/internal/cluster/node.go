// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/labguard/labguard/hack/devcluster/internal/cgroup"
	"github.com/labguard/labguard/hack/devcluster/internal/component"
	"github.com/labguard/labguard/hack/devcluster/internal/debian"
	"github.com/labguard/labguard/hack/devcluster/internal/image"
	"github.com/labguard/labguard/hack/devcluster/internal/install"
	"github.com/labguard/labguard/hack/devcluster/internal/network"
	"github.com/labguard/labguard/hack/devcluster/internal/node"
	"github.com/labguard/labguard/hack/devcluster/internal/process"
)

// nodeParts are what a node needs that outlives an attempt to start.
type nodeParts struct {
	network *network.Network
	// programs and debian are folders, self is this program.
	programs, debian, self string
	cgroup                 string
	snapshotter            string
	janitor                *process.Process
}

// prepareNode gets what the node needs, and has what it will leave cleaned up. It
// returns nil where no node is wanted.
func prepareNode(ctx context.Context, o Options, l layout, starter process.Starter, out io.Writer) (*nodeParts, error) {
	if !o.Node {
		return nil, nil //nolint:nilnil // no node is no error
	}
	programs, err := filepath.EvalSymlinks(o.NodePrograms)
	if err != nil {
		// Check says it better.
		programs = o.NodePrograms
	}
	if err := node.Check(programs); err != nil {
		return nil, err
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format+"\n", args...) }
	p := &nodeParts{programs: programs, self: starter.Path, cgroup: cgroup.Name(l.dir), snapshotter: node.Snapshotter(l.nodeDir())}
	if p.debian, err = debian.Programs(ctx, o.Cache, say); err != nil {
		return nil, err
	}
	if p.network, err = network.New(node.Address, serviceIPs); err != nil {
		return nil, err
	}
	p.janitor, err = starter.StartCommand(ctx, process.Command{
		Name: component.Janitor, Path: starter.Path, Args: []string{component.Janitor, p.cgroup}, Log: l.log(component.Janitor),
		Adjust: process.OutliveParent,
	})
	return p, err
}

// stop removes what the node leaves, once it is gone.
func (p *nodeParts) stop(ctx context.Context) {
	if err := cgroup.Remove(ctx, p.cgroup); err != nil {
		fmt.Fprintf(os.Stderr, "devcluster: %v\n", err)
	}
	p.janitor.Stop(stopGrace)
}

// joinNetwork serves what this process has inside of the node's network, and what
// is inside of it to this machine.
func (r *runner) joinNetwork(ctx context.Context, outer net.Listener) error {
	inner, err := r.node.network.Listen(ctx, net.JoinHostPort("0.0.0.0", itoa(r.Registry)))
	if err != nil {
		return errors.Join(fmt.Errorf("start registry: %w", err), outer.Close())
	}
	if err := serveRegistry(ctx, r.layout, outer, inner); err != nil {
		return err
	}
	for _, port := range []int{r.Etcd, r.APIServer, r.ControllerManager, r.Scheduler, r.CertManager, r.Policy} {
		if err := r.node.network.Relay(ctx, address(port)); err != nil {
			return err
		}
	}
	return nil
}

// startNode starts the node and returns when it runs pods that find Services.
func (r *runner) startNode(ctx context.Context, config *rest.Config) error {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	pause, err := r.push(ctx, "pause")
	if err != nil {
		return err
	}
	dns, err := r.push(ctx, "dns")
	if err != nil {
		return err
	}
	objects, err := install.NodeObjects(dns, node.DNSAddress)
	if err != nil {
		return err
	}
	if err := install.Apply(ctx, config, objects); err != nil {
		return err
	}
	if err := r.startCommand(ctx, process.Command{
		Name: component.Policy, Path: r.starter.Path, Args: append([]string{component.Policy}, r.arguments(component.Policy)...),
		Log: r.log(component.Policy), Env: []string{"PATH=" + r.node.debian + ":/usr/sbin:/usr/bin:/sbin:/bin"},
	}, probeURL("http://"+address(r.Policy)+"/healthz", nil)); err != nil {
		return err
	}
	if err := forgetNode(ctx, client); err != nil {
		return err
	}
	args, err := r.nodeSettings(pause).Prepare()
	if err != nil {
		return err
	}
	if err := r.startCommand(ctx, process.Command{
		Name: component.Node, Path: r.starter.Path, Args: append([]string{component.Node}, args...),
		Log: r.log(component.Node), Adjust: network.Isolate,
	}, probeNode(client)); err != nil {
		return err
	}
	r.say("waiting for DNS")
	return r.running[component.Node].Await(ctx, probeDNS(client))
}

func (r *runner) push(ctx context.Context, program string) (string, error) {
	return image.Push(ctx, address(r.Registry)+"/devcluster/"+program, filepath.Join(r.node.programs, program))
}

func (r *runner) nodeSettings(pause string) node.Settings {
	return node.Settings{
		Cluster:       r.dir,
		Dir:           r.nodeDir(),
		Programs:      r.node.programs,
		Debian:        r.node.debian,
		Self:          r.node.self,
		Logs:          r.logs(),
		Cgroup:        r.node.cgroup,
		Registry:      r.Registry,
		Policy:        r.Policy,
		Pause:         pause,
		ClientCA:      r.ca.CertFile,
		KubeletConfig: r.kubeconfigOf(component.Kubelet),
		ProxyConfig:   r.kubeconfigOf(component.Proxy),
		Snapshotter:   r.node.snapshotter,
	}
}

func (r *runner) nodeState() *nodeState {
	return &nodeState{
		Name:     node.Name,
		Address:  node.Address,
		PodIPs:   node.PodIPs,
		Registry: net.JoinHostPort(node.Address, itoa(r.Registry)),
		Switches: "http://" + address(r.Policy) + "/switches",
		Network:  r.node.network.Path,
		Cgroup:   r.node.cgroup,
		PodLogs:  filepath.Join(r.nodeDir(), "pod-logs"),
	}
}
