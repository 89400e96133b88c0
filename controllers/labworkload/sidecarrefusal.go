// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"fmt"
	"strconv"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/posture"
)

// gatherRefusal asks whether peers refuse a certificate that was issued. Before the first pod gets the sidecar that keeps it away: what peers refuse never falls back
// to plaintext, so that a wrong root in the configuration would cut every client off. Where nothing is known of the chain, nothing is wrong with it. Later the pods
// say themselves what their certificate chains to; that peers refuse it for its age no pod can know.
func (r *Reconciler) gatherRefusal(ctx context.Context, s *scope) error {
	live, profile := s.certificate.object, s.sidecar.profile
	if desired.Sidecar(s.workload) == nil || !s.certificate.issued || profile == nil {
		return nil
	}
	if from := live.Status.NotBefore; from != nil && from.Time.Before(s.revokedBefore()) {
		s.certificate.revoked = true
		s.certificate.refused = "it began long before this LabWorkload was made, as one from a backup; labguard has cert-manager issue it anew, at most once an hour"
		return nil
	}
	if profile.Spec.Selector != nil || live.Status.Revision == nil || len(r.Sidecars.Roots) == 0 {
		return nil
	}
	var request certmanagerv1.CertificateRequest
	key := client.ObjectKey{Namespace: live.Namespace, Name: live.Name + "-" + strconv.Itoa(*live.Status.Revision)}
	if err := r.Live.Get(ctx, key, &request); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("get CertificateRequest %s: %w", key, err)
	}
	if chain := request.Status.Certificate; len(chain) > 0 && len(posture.RootsOf(chain, r.Sidecars.Roots)) == 0 {
		s.certificate.refused = "it does not chain to the roots of the trust domain; look at trustDomains and issuers in labguard's configuration"
	}
	return nil
}

// revokedBefore is the beginning of certificates below which peers refuse those of this LabWorkload; zero if it has no sidecar.
func (s *scope) revokedBefore() time.Time {
	if s.sidecar.profile == nil {
		return time.Time{}
	}
	return transit.RevokedBefore(s.workload, s.sidecar.profile)
}
