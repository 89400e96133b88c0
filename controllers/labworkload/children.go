// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"errors"
	"fmt"
	"strings"

	certmanagerac "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/certmanager/v1"
	"k8s.io/apimachinery/pkg/runtime"
	networkingac "k8s.io/client-go/applyconfigurations/networking/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/outcome"
)

// intent is what the children of a LabWorkload should be. A nil child is not to be.
type intent struct {
	policy *networkingac.NetworkPolicyApplyConfiguration
	// missing are facts without which the policy would cut what the spec allows: what exists stays as it is until they are there.
	missing     []string
	certificate *certmanagerac.CertificateApplyConfiguration
	// keepCertificate leaves a certificate that exists as it is: neither going back to Audit nor an issuer that leaves the
	// configuration stops a renewal that a laboratory lives on. What does not hold is reported.
	keepCertificate bool
	// opens says that the policy opens what it has closed, so that it comes first; else it comes last.
	opens bool
}

// write brings the children up to date, each whatever happens to the other: what opens first, what closes last.
func (r *Reconciler) write(ctx context.Context, s *scope, wanted intent) error {
	if wanted.opens {
		return errors.Join(r.writePolicy(ctx, s, wanted), r.writeSidecar(ctx, s, wanted))
	}
	if err := r.writeSidecar(ctx, s, wanted); isWrong(err) && s.closes() {
		return err // nothing is closed before what is to carry the connections is there
	} else if err != nil {
		return errors.Join(err, r.writePolicy(ctx, s, wanted), r.writeApplicationCertificate(ctx, s, wanted))
	}
	return errors.Join(r.writePolicy(ctx, s, wanted), r.writeApplicationCertificate(ctx, s, wanted))
}

// isWrong says whether a write failed, as against one that waits for its turn.
func isWrong(err error) bool {
	var waiting *outcome.WaitingError
	return err != nil && !errors.As(err, &waiting)
}

func (r *Reconciler) writeApplicationCertificate(ctx context.Context, s *scope, wanted intent) error {
	if desired.Sidecar(s.workload) != nil {
		return nil
	}
	return r.writeCertificate(ctx, s, s.workload, wanted)
}

func (r *Reconciler) writePolicy(ctx context.Context, s *scope, wanted intent) error {
	if len(wanted.missing) > 0 {
		return &outcome.WaitingError{Reason: v1alpha1.ReasonWaiting, Message: "the network policy waits for facts about the cluster: " + strings.Join(wanted.missing, "; ")}
	}
	if wanted.policy == nil {
		if s.policy == nil {
			return nil
		}
		return apply.Delete(ctx, r.Client, s.workload, s.policy)
	}
	var live client.Object
	var owned runtime.ApplyConfiguration
	if s.policy != nil {
		extracted, err := networkingac.ExtractNetworkPolicy(s.policy, v1alpha1.FieldManager)
		if err != nil {
			return fmt.Errorf("read what labguard owns of NetworkPolicy %s: %w", s.policy.Name, err)
		}
		live, owned = s.policy, extracted
	}
	_, err := apply.Child(ctx, r.Client, s.workload, "NetworkPolicy", live, owned, wanted.policy)
	return err
}

// writeCertificate writes a certificate as a child of the LabWorkload, or of the profile of its sidecar.
func (r *Reconciler) writeCertificate(ctx context.Context, s *scope, owner client.Object, wanted intent) error {
	existing := s.certificate.object
	switch {
	case wanted.certificate == nil && (existing == nil || wanted.keepCertificate):
		return nil
	case wanted.certificate == nil:
		return apply.Delete(ctx, r.Client, owner, existing)
	case !s.certificate.served:
		return &outcome.WaitingError{Reason: v1alpha1.ReasonCertManagerMissing, Message: "the cluster does not serve cert-manager's API: install cert-manager"}
	}
	var live client.Object
	var owned runtime.ApplyConfiguration
	if existing != nil {
		extracted, err := certmanagerac.ExtractCertificate(existing, v1alpha1.FieldManager)
		if err != nil {
			return fmt.Errorf("read what labguard owns of Certificate %s: %w", existing.Name, err)
		}
		live, owned = existing, extracted
	}
	wrote, err := apply.Child(ctx, r.Client, owner, "Certificate", live, owned, wanted.certificate)
	if err == nil && wrote {
		// What was gathered speaks of the certificate before: of the new one nothing is known yet.
		return &outcome.WaitingError{Reason: v1alpha1.ReasonWaiting, Message: "waiting for cert-manager to issue the certificate", After: outcome.Soon}
	}
	return err
}
