// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package selftest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Installation is what is looked at.
type Installation struct {
	// Reader reads from the API server.
	Reader client.Reader
	Clock  clock.PassiveClock
	// Namespace is labguard's own.
	Namespace string
	// Anchor is the ClusterRole that owns the gate, Lease that of the leader, Authority the Secret of the webhooks' authority, Service theirs.
	Anchor, Lease, Authority, Service string
	// Dial opens a connection to the Service; nil: a TCP connection.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Finding is one thing that was looked at.
type Finding struct {
	// What is a sentence that holds if Err is nil.
	What string
	// Err says what is wrong, and what to do.
	Err error
}

// Look looks at everything once.
func (i *Installation) Look(ctx context.Context) []Finding {
	return []Finding{
		{"The kinds of labguard are served.", i.kinds(ctx)},
		{"The anchor of the gate is there.", i.anchor(ctx)},
		{"A replica leads.", i.leader(ctx)},
		{"The webhooks answer with a certificate of their authority.", i.webhooks(ctx)},
	}
}

// Failed are the errors of findings.
func Failed(findings []Finding) error {
	failed := make([]error, 0, len(findings))
	for _, finding := range findings {
		failed = append(failed, finding.Err)
	}
	return errors.Join(failed...)
}

func (i *Installation) kinds(ctx context.Context) error {
	err := i.Reader.List(ctx, &v1alpha1.LabWorkloadList{}, client.Limit(1))
	if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
		return fmt.Errorf("list LabWorkloads (set crds.install, or apply config/crd): %w", err)
	}
	if err != nil {
		return fmt.Errorf("list LabWorkloads: %w", err)
	}
	return nil
}

func (i *Installation) anchor(ctx context.Context) error {
	if err := i.Reader.Get(ctx, client.ObjectKey{Name: i.Anchor}, &rbacv1.ClusterRole{}); err != nil {
		return fmt.Errorf("get the ClusterRole that owns the gate (without it nothing is enforced; apply labguard's manifests anew): %w", err)
	}
	return nil
}

func (i *Installation) leader(ctx context.Context) error {
	var lease coordinationv1.Lease
	if err := i.Reader.Get(ctx, client.ObjectKey{Namespace: i.Namespace, Name: i.Lease}, &lease); err != nil {
		return fmt.Errorf("get the lease of the leader (kubectl get pods -n %s says whether labguard runs): %w", i.Namespace, err)
	}
	if lease.Spec.RenewTime == nil || lease.Spec.LeaseDurationSeconds == nil || lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return fmt.Errorf("nobody holds the lease of the leader: kubectl get pods -n %s says whether labguard runs", i.Namespace)
	}
	if ended := lease.Spec.RenewTime.Add(time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second); i.Clock.Now().After(ended) {
		return fmt.Errorf("the leader %s has not been heard of since %s: kubectl logs -n %s deployment/labguard says why",
			*lease.Spec.HolderIdentity, lease.Spec.RenewTime.UTC().Format(time.RFC3339), i.Namespace)
	}
	return nil
}

// webhooks opens a connection as the API server does.
func (i *Installation) webhooks(ctx context.Context) error {
	var authority corev1.Secret
	if err := i.Reader.Get(ctx, client.ObjectKey{Namespace: i.Namespace, Name: i.Authority}, &authority); err != nil {
		return fmt.Errorf("get the authority of the webhooks (labguard makes it when it starts): %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority.Data[corev1.TLSCertKey]) {
		return fmt.Errorf("the Secret %s/%s has no certificate: delete it, and labguard makes another", i.Namespace, i.Authority)
	}
	dial := i.Dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	host := i.Service + "." + i.Namespace + ".svc"
	connection, err := dial(ctx, "tcp", net.JoinHostPort(host, "443"))
	if err != nil {
		return fmt.Errorf("call the webhooks (are pods of labguard ready, and does a network policy let this one through?): %w", err)
	}
	defer func() { _ = connection.Close() }()
	config := &tls.Config{RootCAs: roots, ServerName: host, MinVersion: tls.VersionTLS13}
	if err := tls.Client(connection, config).HandshakeContext(ctx); err != nil {
		return fmt.Errorf("shake hands with the webhooks at %s: %w", host, err)
	}
	return nil
}
