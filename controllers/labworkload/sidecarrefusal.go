// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"fmt"
	"strconv"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/posture"
)

// gatherRefusal asks whether peers would refuse a certificate that was issued, before the first pod gets the sidecar: what they refuse never falls back to
// plaintext, so that a wrong root in the configuration would cut every client off. Where nothing is known of the chain, nothing is wrong with it.
func (r *Reconciler) gatherRefusal(ctx context.Context, s *scope) error {
	live, profile := s.certificate.object, s.sidecar.profile
	if desired.Sidecar(s.workload) == nil || !s.certificate.issued || profile == nil || profile.Spec.Selector != nil {
		return nil
	}
	if from := live.Status.NotBefore; from != nil && from.Time.Before(transit.RevokedBefore(s.workload, profile)) {
		s.certificate.refused = "it began long before this LabWorkload was made; have it issued anew, as by cmctl renew " + live.Name
		return nil
	}
	if live.Status.Revision == nil || len(r.Sidecars.Roots) == 0 {
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
