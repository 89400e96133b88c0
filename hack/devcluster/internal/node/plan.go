// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/labguard/labguard/hack/devcluster/internal/component"
)

// What every node here has in common.
const (
	// Name is the name of the Node.
	Name = "node"
	// Address is the node's: kube-apiserver, kubelet and registry are there for pods.
	Address = "172.30.0.1"
	// PodIPs are the addresses of pods.
	PodIPs = "10.244.0.0/16"
	// DNSAddress is the ClusterIP of DNS.
	DNSAddress = "10.96.0.10"
)

// Paths inside of the mount namespace of the node. They are short whatever the
// folder of the cluster is called: names of sockets have a limit.
const (
	inside           = "/run/node"
	containerdState  = "/run/containerd"
	containerdSocket = containerdState + "/containerd.sock"
)

// hidden are folders of the machine that the node has an empty one instead of:
// those in which its programs leave things, whatever they are told.
var hidden = []string{"/run", "/var/log", "/var/lib"}

// Settings are what a node depends on.
type Settings struct {
	// Cluster is the folder of the cluster, Dir that of the node in it.
	Cluster, Dir string
	// Programs is the folder with what hack/build compiled for nodes, Debian that
	// with runc and nft, Self is this program.
	Programs, Debian, Self string
	// Logs is the folder for the logs of the parts.
	Logs string
	// Cgroup is the name of the cgroup, below the root, that all of the node is in.
	Cgroup string
	// Registry is the port of the registry.
	Registry int
	// Policy is the port of the policy enforcer on loopback.
	Policy int
	// Pause is the image of sandboxes.
	Pause string
	// ClientCA is the file with whom the kubelet lets in.
	ClientCA string
	// KubeletConfig and ProxyConfig are the kubeconfigs of the two.
	KubeletConfig, ProxyConfig string
	// Snapshotter is how containerd makes root file systems.
	Snapshotter string
}

// A plan is what the first process of the node does.
type plan struct {
	// Hide is hidden, except for what of Keep is in there. Then Bind is mounted at At.
	Hide []string `json:"hide"`
	Keep []string `json:"keep"`
	Bind string   `json:"bind"`
	At   string   `json:"at"`
	// Cgroup is what the node sees as the root of each hierarchy.
	Cgroup string `json:"cgroup"`
	// Sysctls are files that show these values and change nothing.
	Sysctls map[string]string `json:"sysctls"`
	// Path is the PATH of all programs.
	Path string `json:"path"`
	// Parts are started in order, each when the socket of the one before answers.
	Parts []part `json:"parts"`
}

// A part is a program of the node.
type part struct {
	Name string   `json:"name"`
	Path string   `json:"path"`
	Args []string `json:"args"`
	Log  string   `json:"log"`
	// Socket answers when the part can be used; empty asks nothing.
	Socket string `json:"socket,omitempty"`
}

func (s Settings) plan() plan {
	return plan{
		Hide:   hidden,
		Keep:   []string{s.Cluster, s.Programs, s.Debian, filepath.Dir(s.Debian), filepath.Dir(s.Self)},
		Bind:   s.Dir,
		At:     inside,
		Cgroup: s.Cgroup,
		// The kubelet sets these for the whole machine unless they have these values.
		Sysctls: map[string]string{
			"vm/overcommit_memory":      "1",
			"vm/panic_on_oom":           "0",
			"kernel/panic":              "10",
			"kernel/panic_on_oops":      "1",
			"kernel/keys/root_maxkeys":  "1000000",
			"kernel/keys/root_maxbytes": "25000000",
		},
		Path: s.Programs + ":" + s.Debian + ":/usr/sbin:/usr/bin:/sbin:/bin",
		Parts: []part{
			{
				Name: "containerd", Path: filepath.Join(s.Programs, "containerd"),
				Args: []string{"--config", inside + "/containerd.toml"},
				Log:  filepath.Join(s.Logs, "containerd.log"), Socket: containerdSocket,
			},
			{
				Name: component.Kubelet, Path: s.Self,
				Args: []string{
					component.Kubelet,
					"--config=" + inside + "/kubelet.yaml",
					"--kubeconfig=" + s.KubeletConfig,
					"--root-dir=" + inside + "/kubelet",
					"--cert-dir=" + inside + "/kubelet-pki",
					"--hostname-override=" + Name,
					"--node-ip=" + Address,
				},
				Log: filepath.Join(s.Logs, component.Kubelet+".log"),
			},
			{
				Name: component.Proxy, Path: s.Self,
				Args: []string{component.Proxy, "--config=" + inside + "/kube-proxy.yaml", "--hostname-override=" + Name},
				Log:  filepath.Join(s.Logs, component.Proxy+".log"),
			},
		},
	}
}

// Prepare writes what the node reads and returns the arguments of its first
// process.
func (s Settings) Prepare() (args []string, err error) {
	p := s.plan()
	content, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("prepare the node: %w", err)
	}
	files := s.files()
	const planFile = "plan.json"
	files[planFile] = string(content)
	// A node that ended is one that lost its power: pods are made anew, images stay.
	for _, lost := range []string{"kubelet", "pod-logs"} {
		if err := os.RemoveAll(filepath.Join(s.Dir, lost)); err != nil {
			return nil, fmt.Errorf("prepare the node: %w", err)
		}
	}
	for name, content := range files {
		file := filepath.Join(s.Dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return nil, fmt.Errorf("prepare the node: %w", err)
		}
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			return nil, fmt.Errorf("prepare the node: %w", err)
		}
	}
	return []string{filepath.Join(s.Dir, planFile)}, nil
}
