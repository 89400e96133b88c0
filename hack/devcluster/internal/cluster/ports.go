// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"net"
	"os"
	"strconv"
)

// loopback is the only address that anything here listens on.
const loopback = "127.0.0.1"

// Ports are taken from below those that systems hand out to clients: a client
// of any other program could take one of those between the look and the use.
const (
	firstPort = 20000
	lastPort  = 32000
	// More ports in a row than this are never in use on a sane machine.
	portAttempts = 1000
)

// ports are what the parts of one cluster listen on.
type ports struct {
	Etcd              int `json:"etcd"`
	EtcdPeer          int `json:"etcdPeer"`
	APIServer         int `json:"kubeApiserver"`
	ControllerManager int `json:"kubeControllerManager"`
	Scheduler         int `json:"kubeScheduler"`
	CertManager       int `json:"certManager"`
	Registry          int `json:"registry"`
	Policy            int `json:"networkPolicy"`
}

func (p *ports) all() []*int {
	return []*int{&p.Etcd, &p.EtcdPeer, &p.APIServer, &p.ControllerManager, &p.Scheduler, &p.CertManager, &p.Registry, &p.Policy}
}

// choosePorts returns free ports, and keeps those of the last run where they
// are free still: kubeconfigs and image references then stay good.
func choosePorts(ctx context.Context, file string) (ports, error) {
	var p ports
	// No file, or one that is no good, only means that nothing is kept.
	if content, err := os.ReadFile(file); err == nil {
		_ = json.Unmarshal(content, &p)
	}
	taken := map[int]bool{}
	for _, port := range p.all() {
		for attempt := 0; *port == 0 || taken[*port] || !free(ctx, *port); attempt++ {
			if attempt == portAttempts {
				return ports{}, fmt.Errorf("no free port between %d and %d on %s", firstPort, lastPort, loopback)
			}
			random, err := rand.Int(rand.Reader, big.NewInt(lastPort-firstPort))
			if err != nil {
				return ports{}, fmt.Errorf("choose a port: %w", err)
			}
			*port = firstPort + int(random.Int64())
		}
		taken[*port] = true
	}
	content, err := json.Marshal(p)
	if err != nil {
		return ports{}, fmt.Errorf("keep the ports: %w", err)
	}
	if err := os.WriteFile(file, content, 0o600); err != nil {
		return ports{}, fmt.Errorf("keep the ports: %w", err)
	}
	return p, nil
}

func free(ctx context.Context, port int) bool {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address(port))
	if err != nil {
		return false
	}
	return listener.Close() == nil
}

func address(port int) string { return net.JoinHostPort(loopback, strconv.Itoa(port)) }
