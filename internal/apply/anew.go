// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package apply

import (
	"context"
	"fmt"
	"slices"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Issuing says whether cert-manager is issuing a certificate, or has been asked to.
func Issuing(certificate *certmanagerv1.Certificate) bool {
	return slices.ContainsFunc(certificate.Status.Conditions, func(condition certmanagerv1.CertificateCondition) bool {
		return condition.Type == certmanagerv1.CertificateConditionIssuing && condition.Status == cmmeta.ConditionTrue
	})
}

// Anew sets the condition that cert-manager takes for the wish to issue a certificate now, as `cmctl renew` does. why says in one word and in a sentence what for.
func Anew(ctx context.Context, c client.Client, certificate *certmanagerv1.Certificate, now time.Time, why, sentence string) error {
	changed, at := certificate.DeepCopy(), metav1.NewTime(now)
	changed.Status.Conditions = slices.DeleteFunc(changed.Status.Conditions, func(condition certmanagerv1.CertificateCondition) bool {
		return condition.Type == certmanagerv1.CertificateConditionIssuing
	})
	changed.Status.Conditions = append(changed.Status.Conditions, certmanagerv1.CertificateCondition{
		Type: certmanagerv1.CertificateConditionIssuing, Status: cmmeta.ConditionTrue, Reason: why, ObservedGeneration: certificate.Generation,
		LastTransitionTime: &at, Message: sentence,
	})
	patch := client.MergeFromWithOptions(certificate, client.MergeFromWithOptimisticLock{})
	if err := c.Status().Patch(ctx, changed, patch, client.FieldOwner(v1alpha1.FieldManager)); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("have certificate %s/%s issued anew: %w", certificate.Namespace, certificate.Name, err)
	}
	return nil
}
