// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strconv"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmeta "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/controllers/inventory"
	"github.com/labguard/labguard/controllers/served"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/reach"
)

// scope is what one reconcile has gathered about its LabWorkload. Nothing is read after it.
type scope struct {
	workload    *v1alpha1.LabWorkload
	now         time.Time
	enforcement posture.Enforcement

	selector      labels.Selector
	selectorError error

	found     *inventory.Namespace
	siblings  []v1alpha1.LabWorkload
	foreign   map[client.ObjectKey]*v1alpha1.LabWorkload
	records   []v1alpha1.RolloutRecord
	services  []corev1.Service
	platforms map[string]posture.Platform
	// common is the platform that all nodes have which take pods; zero if they have several.
	common posture.Platform

	policy        *networkingv1.NetworkPolicy
	otherPolicies []networkingv1.NetworkPolicy
	world         reach.World
	ingresses     []networkingv1.Ingress
	cluster       desired.Cluster
	certificate   certificate

	sidecar sidecar
	people  people

	excluded, inRecovery, issuerAllowed bool

	// unknown are the questions about images that have no answer yet.
	unknown []posture.ImageQuery
	// seeksFresher says that an image needs a fresher build, which its tag may come to mean at any time.
	seeksFresher bool
}

// certificate is what cert-manager has of the LabWorkload.
type certificate struct {
	served bool
	object *certmanagerv1.Certificate
	// taken says that the object is somebody else's and only has the name.
	taken   bool
	issued  bool
	message string
	serial  string
	// refused says why peers refuse it, as far as that is known, and revoked that its age is why: a new one is what helps.
	refused string
	revoked bool
}

func (c *certificate) waiting() bool { return c.served && !c.issued }

func (s *scope) epoch() *v1alpha1.Epoch { return ledger.EpochOf(s.records) }

func (s *scope) wantsForbiddenIssuer() bool {
	return s.enforcement.Transit && posture.Transit(&s.workload.Spec) != nil && !s.issuerAllowed
}

// gather reads everything that decides about one LabWorkload, once.
func (r *Reconciler) gather(ctx context.Context, workload *v1alpha1.LabWorkload) (*scope, error) {
	s := &scope{workload: workload, now: r.Clock.Now(), excluded: slices.Contains(r.Excluded, workload.Namespace)}
	s.enforcement = posture.EnforcementAt(&workload.Spec, s.now)
	if s.selector, s.selectorError = metav1.LabelSelectorAsSelector(&workload.Spec.Selector); s.selectorError != nil {
		s.selector = labels.Nothing()
	}
	steps := []func(context.Context, *scope) error{
		r.gatherNamespace, r.gatherWorkloads, r.gatherPolicies, r.gatherWorld, r.gatherCluster, r.gatherNodes, r.gatherSidecar, r.gatherCertificate, r.gatherPeople,
	}
	for _, step := range steps {
		if err := step(ctx, s); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (r *Reconciler) gatherNamespace(ctx context.Context, s *scope) error {
	name := s.workload.Namespace
	var namespace corev1.Namespace
	if err := r.Get(ctx, client.ObjectKey{Name: name}, &namespace); err != nil {
		return fmt.Errorf("get namespace %s: %w", name, err)
	}
	_, s.inRecovery = namespace.Labels[v1alpha1.RecoveryLabel]
	var records v1alpha1.RolloutRecordList
	if err := r.List(ctx, &records, client.InNamespace(name)); err != nil {
		return fmt.Errorf("list rollout records of namespace %s: %w", name, err)
	}
	s.records = records.Items
	var services corev1.ServiceList
	if err := r.List(ctx, &services, client.InNamespace(name)); err != nil {
		return fmt.Errorf("list Services of namespace %s: %w", name, err)
	}
	s.services = services.Items
	var err error
	s.found, err = inventory.List(ctx, r.Client, r.Served, name)
	return err
}

// gatherWorkloads reads the other LabWorkloads of the namespace, and those of other namespaces that this one names.
func (r *Reconciler) gatherWorkloads(ctx context.Context, s *scope) error {
	var siblings v1alpha1.LabWorkloadList
	if err := r.List(ctx, &siblings, client.InNamespace(s.workload.Namespace)); err != nil {
		return fmt.Errorf("list LabWorkloads of namespace %s: %w", s.workload.Namespace, err)
	}
	s.siblings = siblings.Items
	s.foreign = map[client.ObjectKey]*v1alpha1.LabWorkload{}
	for _, key := range desired.References(s.workload) {
		if key.Namespace == s.workload.Namespace {
			continue
		}
		peer := &v1alpha1.LabWorkload{}
		err := r.Get(ctx, key, peer)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("get LabWorkload %s: %w", key, err)
		}
		if err == nil {
			s.foreign[key] = peer
		}
	}
	return nil
}

func (r *Reconciler) gatherPolicies(ctx context.Context, s *scope) error {
	var policies networkingv1.NetworkPolicyList
	if err := r.List(ctx, &policies, client.InNamespace(s.workload.Namespace)); err != nil {
		return fmt.Errorf("list NetworkPolicies of namespace %s: %w", s.workload.Namespace, err)
	}
	for i := range policies.Items {
		policy := &policies.Items[i]
		switch {
		case policy.Name == desired.ChildName(s.workload.Name):
			s.policy = policy
			if !metav1.IsControlledBy(policy, s.workload) {
				s.otherPolicies = append(s.otherPolicies, *policy)
			}
		case !r.ours(s, policy):
			s.otherPolicies = append(s.otherPolicies, *policy)
		}
	}
	return nil
}

// ours says whether a policy belongs to a LabWorkload of the namespace. The label alone would be a tenant's word.
func (r *Reconciler) ours(s *scope, policy *networkingv1.NetworkPolicy) bool {
	return slices.ContainsFunc(s.siblings, func(sibling v1alpha1.LabWorkload) bool {
		return policy.Name == desired.ChildName(sibling.Name) && metav1.IsControlledBy(policy, &sibling)
	})
}

// gatherNodes reads on which platform the pods run.
func (r *Reconciler) gatherNodes(ctx context.Context, s *scope) error {
	s.platforms = map[string]posture.Platform{}
	if s.workload.Spec.Images == nil {
		return nil
	}
	var nodes corev1.NodeList
	if err := r.List(ctx, &nodes, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list nodes: %w", err)
	}
	var open []posture.Platform
	for i := range nodes.Items {
		node := &nodes.Items[i]
		s.platforms[node.Name] = platformOf(node)
		if !node.Spec.Unschedulable {
			open = append(open, platformOf(node))
		}
	}
	s.common = posture.CommonPlatform(open)
	return nil
}

func (r *Reconciler) gatherCertificate(ctx context.Context, s *scope) error {
	s.certificate.served = r.Served.Serves(served.Certificate)
	if transit := posture.Transit(&s.workload.Spec); transit != nil {
		s.issuerAllowed = r.allows(s.workload.Namespace, transit.IssuerRef)
	}
	if !s.certificate.served {
		return nil
	}
	live, name := &certmanagerv1.Certificate{}, desired.ChildName(s.workload.Name)
	if desired.Sidecar(s.workload) != nil {
		name = desired.IdentityName(s.workload.Name)
	}
	err := r.Get(ctx, client.ObjectKey{Namespace: s.workload.Namespace, Name: name}, live)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("get Certificate %s/%s: %w", s.workload.Namespace, name, err)
	}
	s.certificate.object, s.certificate.taken = live, !s.controls(live)
	if s.certificate.taken {
		return nil
	}
	for _, condition := range live.Status.Conditions {
		if condition.Type == certmanagerv1.CertificateConditionReady {
			s.certificate.issued = condition.Status == cmmeta.ConditionTrue && condition.ObservedGeneration == live.Generation
			s.certificate.message = condition.Message
		}
	}
	if err := r.gatherRefusal(ctx, s); err != nil {
		return err
	}
	return r.gatherSerial(ctx, s)
}

// controls says whether an object is a child: of the LabWorkload, or of the profile of its sidecar.
func (s *scope) controls(object metav1.Object) bool {
	return metav1.IsControlledBy(object, s.workload) || s.sidecar.profile != nil && metav1.IsControlledBy(object, s.sidecar.profile)
}

// gatherSerial reads the serial number off the CertificateRequest of the present revision, since labguard reads no Secret. It is read once for each
// certificate.
func (r *Reconciler) gatherSerial(ctx context.Context, s *scope) error {
	live, known := s.certificate.object, s.workload.Status.Certificate
	if !s.certificate.issued || live.Status.Revision == nil {
		return nil
	}
	if known != nil && known.Serial != "" && known.NotAfter.Equal(live.Status.NotAfter) {
		s.certificate.serial = known.Serial
		return nil
	}
	var request certmanagerv1.CertificateRequest
	key := client.ObjectKey{Namespace: live.Namespace, Name: live.Name + "-" + strconv.Itoa(*live.Status.Revision)}
	if err := r.Live.Get(ctx, key, &request); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("get CertificateRequest %s: %w", key, err)
	}
	if block, _ := pem.Decode(request.Status.Certificate); block != nil {
		if parsed, err := x509.ParseCertificate(block.Bytes); err == nil {
			s.certificate.serial = parsed.SerialNumber.Text(16)
		}
	}
	return nil
}

// allows says whether the platform team lists an issuer.
func (r *Reconciler) allows(namespace string, reference v1alpha1.IssuerReference) bool {
	kind := reference.Kind
	if kind == "" {
		kind = v1alpha1.IssuerKindClusterIssuer
	}
	return slices.ContainsFunc(r.Issuers, func(issuer Issuer) bool {
		return issuer.Kind == kind && issuer.Name == reference.Name &&
			(kind == v1alpha1.IssuerKindClusterIssuer || issuer.Namespace == namespace)
	})
}
