// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/labguard/labguard/hack/devcluster/internal/process"
)

// state is DIR/cluster.json: what programs that use the cluster need to know.
// It is there from just before "ready" until the cluster was told to stop.
type state struct {
	// PID is the process of `devcluster up`.
	PID int `json:"pid"`
	// Kubeconfig is the path of the administrator's kubeconfig.
	Kubeconfig string `json:"kubeconfig"`
	// Server is the URL of the API server.
	Server string `json:"server"`
	// Registry is the host:port of the OCI registry, plain HTTP.
	Registry string `json:"registry"`
	// Node is the node, if the cluster has one.
	Node *nodeState `json:"node,omitempty"`
	// AuditLog is the path of the JSON lines of what the operator wrote, of what was
	// asked for by break glass, and of ways into pods.
	AuditLog string `json:"auditLog"`
	// AuthenticationConfig is the path of the file that says whose tokens the API
	// server takes besides its own; there is none without it.
	AuthenticationConfig string `json:"authenticationConfig,omitempty"`
	// Components are the running programs by name.
	Components map[string]componentState `json:"components"`
}

type nodeState struct {
	// Name is the name of the Node, Address its own.
	Name    string `json:"name"`
	Address string `json:"address"`
	// PodIPs is the range of the addresses of pods.
	PodIPs string `json:"podIPs"`
	// Registry is the host:port of the registry for programs in pods, and for images
	// of pods that such a program looks up. It has the same images.
	Registry string `json:"registry"`
	// Switches is the URL, on loopback, of the switches of the policy enforcer.
	Switches string `json:"switches"`
	// Network names the network namespace of the node, in which the parts of the
	// cluster listen too.
	Network string `json:"network"`
	// Cgroup is the parent of the cgroups of pods in every hierarchy.
	Cgroup string `json:"cgroup"`
	// PodLogs is the folder with the logs of containers.
	PodLogs string `json:"podLogs"`
}

type componentState struct {
	PID  int    `json:"pid"`
	Port int    `json:"port"`
	Log  string `json:"log"`
}

// write replaces the file by a rename, so that readers see all of it or none.
func (s state) write(file string) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	temporary := file + ".new"
	if err := os.WriteFile(temporary, append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := os.Rename(temporary, file); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}

func newComponentState(p *process.Process, port int) componentState {
	return componentState{PID: p.PID(), Port: port, Log: p.Log}
}
