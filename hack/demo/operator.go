// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// installLabguard applies what an administrator applies, and makes an issuer such as a platform team has.
func (s *stage) installLabguard(ctx context.Context) error {
	s.tour.Title("Installing labguard: CRDs, rights, an issuer")
	if err := s.tour.Apply(ctx, "Namespace", namespaces); err != nil {
		return err
	}
	for _, dir := range []string{"config/crd", "config/rbac"} {
		if err := s.tour.Show(ctx, "apply", "--server-side", "-k", dir); err != nil {
			return err
		}
	}
	if _, err := s.kubectl(ctx, "get", "service", "-n", "kube-system", "kube-dns"); err != nil {
		// The local cluster has no nodes and so no DNS; network policies need to know where it would be.
		if err := s.tour.Apply(ctx, "Service", dnsService); err != nil {
			return err
		}
	}
	if _, err := s.kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "crd/labworkloads.labguard.dev", "crd/certificates.cert-manager.io"); err != nil {
		return fmt.Errorf("the cluster has no cert-manager, or labguard's kinds did not come: %w", err)
	}
	return s.tour.Show(ctx, "apply", "-f", laboratoryCA)
}

// startOperator runs the operator beside the cluster, under its own ServiceAccount and with no other rights.
func (s *stage) startOperator(ctx context.Context) error {
	s.tour.Title("Starting the operator, as system:serviceaccount:labguard-system:labguard")
	if err := s.writeAccess(ctx); err != nil {
		return err
	}
	configuration := fmt.Sprintf("trustDomain: lab.example\nissuers:\n- {kind: ClusterIssuer, name: lab-ca}\nregistries:\n- {host: %q, insecure: true, allowedAddresses: [127.0.0.0/8]}\n", s.tour.Registry)
	if err := os.WriteFile(s.path("configuration.yaml"), []byte(configuration), 0o600); err != nil {
		return fmt.Errorf("write the operator's configuration: %w", err)
	}
	webhooks, probes, metrics := freePort(ctx), freePort(ctx), freePort(ctx)
	log, err := os.Create(s.path("labguard.log"))
	if err != nil {
		return fmt.Errorf("write the operator's log: %w", err)
	}
	s.operator = exec.CommandContext(context.WithoutCancel(ctx), "bin/manager", "--kubeconfig="+s.path("labguard.kubeconfig"), "--config="+s.path("configuration.yaml"),
		"--webhook-url=https://localhost:"+webhooks, "--webhook-host=127.0.0.1", "--webhook-port="+webhooks, "--leader-elect=false",
		"--metrics-bind-address=127.0.0.1:"+metrics, "--metrics-secure=false", "--health-probe-bind-address=127.0.0.1:"+probes)
	s.operator.Stdout, s.operator.Stderr = log, log
	detach(s.operator)
	if err := s.operator.Start(); err != nil {
		return fmt.Errorf("start the operator: %w", err)
	}
	s.operatorEnded = make(chan struct{})
	go func() {
		_ = s.operator.Wait() // how it ended is in its log
		_ = log.Close()
		close(s.operatorEnded)
	}()
	fmt.Printf("  metrics: http://127.0.0.1:%s/metrics\n", metrics)
	return s.tour.Until(ctx, "the operator is ready", func(ctx context.Context) error {
		select {
		case <-s.operatorEnded:
			content, _ := os.ReadFile(s.path("labguard.log"))
			return fmt.Errorf("the operator has ended: %s", content)
		default:
			return get(ctx, "http://127.0.0.1:"+probes+"/readyz")
		}
	})
}

// writeAccess writes a kubeconfig with a token of the ServiceAccount.
func (s *stage) writeAccess(ctx context.Context) error {
	content, err := os.ReadFile(s.kubeconfig)
	if err != nil {
		return fmt.Errorf("read the kubeconfig: %w", err)
	}
	own := s.path("labguard.kubeconfig")
	if err := os.WriteFile(own, content, 0o600); err != nil {
		return fmt.Errorf("write the operator's kubeconfig: %w", err)
	}
	token, err := s.kubectl(ctx, "create", "token", "labguard", "-n", "labguard-system", "--duration=24h")
	if err != nil {
		return err
	}
	current, err := s.kubectl(ctx, "config", "current-context")
	if err != nil {
		return err
	}
	for _, words := range [][]string{
		{"config", "set-credentials", "labguard", "--token=" + strings.TrimSpace(token)},
		{"config", "set-context", strings.TrimSpace(current), "--user=labguard"},
	} {
		if _, err := s.kubectl(ctx, append(words, "--kubeconfig="+own)...); err != nil {
			return err
		}
	}
	return nil
}

func get(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", url, response.Status)
	}
	return errors.Join(err, response.Body.Close())
}

func freePort(ctx context.Context) string {
	var configuration net.ListenConfig
	listener, err := configuration.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "0"
	}
	defer func() { _ = listener.Close() }()
	address, _ := listener.Addr().(*net.TCPAddr)
	return strconv.Itoa(address.Port)
}
