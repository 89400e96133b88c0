// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"fmt"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmv1ac "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/certmanager/v1"
	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/posture"
)

// kinds makes empty objects of the kinds that labguard writes here.
var kinds = map[string]func() client.Object{
	"ClusterTrustBundle": func() client.Object { return &certificatesv1.ClusterTrustBundle{} },
	"ConfigMap":          func() client.Object { return &corev1.ConfigMap{} },
	"Certificate":        func() client.Object { return &certmanagerv1.Certificate{} },
}

// keepIdentity asks cert-manager for labguard's own certificate, if there are airlocks to ask: the trust domain has roots, and a ClusterIssuer is listed.
// One that exists is left as it is when that is no longer so.
func (r *Reconciler) keepIdentity(ctx context.Context) error {
	if r.ClusterIssuer == "" || !r.hasOwnRoots() || !r.Served.Serves(served.Certificate) {
		return nil
	}
	wanted := desired.OperatorCertificate(r.Namespace, r.TrustDomain, r.ClusterIssuer)
	key := client.ObjectKey{Namespace: r.Namespace, Name: v1alpha1.OperatorCertificate}
	var live certmanagerv1.Certificate
	err := r.Get(ctx, key, &live)
	switch {
	case apierrors.IsNotFound(err):
		return r.keep(ctx, "Certificate", key, nil, nil, wanted)
	case err != nil:
		return fmt.Errorf("get labguard's own certificate: %w", err)
	case live.Labels[v1alpha1.ManagedByLabel] != v1alpha1.ManagedByValue:
		return &apply.NotOursError{Object: "Certificate " + key.String()}
	}
	owned, err := cmv1ac.ExtractCertificate(&live, v1alpha1.FieldManager)
	if err != nil {
		return fmt.Errorf("read what labguard owns of its own certificate: %w", err)
	}
	return r.keep(ctx, "Certificate", key, &live, owned, wanted)
}

func (r *Reconciler) hasOwnRoots() bool {
	for _, source := range r.Sources {
		if source.Kind == posture.OwnTrust && len(source.Roots) > 0 {
			return true
		}
	}
	return false
}
