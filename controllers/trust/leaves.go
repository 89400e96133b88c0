// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package trust

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/posture"
)

// reissueReason and reissueMessage are of the condition that makes cert-manager issue a certificate anew.
const (
	reissueReason  = "RootLeaving"
	reissueMessage = "labguard has it issued anew, since the root that it chains to leaves the configuration"
)

// readLeaf is a chain that was read off a CertificateRequest.
type readLeaf struct {
	revision int
	chain    []byte
}

// chain is the leaf that a Certificate has now.
type chain struct {
	certificate *certmanagerv1.Certificate
	roots       []string
	// knownAt is when it was read; zero if it could not be.
	knownAt time.Time
}

func (c chain) user() posture.RootUser {
	return posture.RootUser{
		Name: "certificate " + c.certificate.Namespace + "/" + c.certificate.Name, AnsweredAt: c.knownAt, Roots: c.roots,
	}
}

// gatherChains reads which roots the leaves of labguard's certificates chain to, off their CertificateRequests, since labguard reads no Secret. A pod
// that starts tomorrow gets what is in its Secret today. It is read once for each revision, and only while a root is leaving.
func (r *Reconciler) gatherChains(ctx context.Context, s *scope) error {
	var roots []posture.Root
	for _, one := range s.bundles {
		if one.source.Kind == posture.OwnTrust {
			roots = append(slices.Clone(one.source.Roots), one.published...)
		}
	}
	read := map[types.UID]readLeaf{}
	for i := range s.certificates {
		certificate := &s.certificates[i]
		if certificate.Status.Revision == nil {
			continue // nothing was ever issued
		}
		leaf, known := r.leaves[certificate.UID]
		if !known || leaf.revision != *certificate.Status.Revision {
			var err error
			if leaf, known, err = r.readLeaf(ctx, certificate); err != nil {
				return err
			}
		}
		one := chain{certificate: certificate}
		if known {
			read[certificate.UID] = leaf
			one.knownAt, one.roots = s.now, posture.RootsOf(leaf.chain, roots)
		}
		s.chains = append(s.chains, one)
	}
	r.leaves = read
	return nil
}

func (r *Reconciler) readLeaf(ctx context.Context, certificate *certmanagerv1.Certificate) (readLeaf, bool, error) {
	revision := *certificate.Status.Revision
	var request certmanagerv1.CertificateRequest
	key := client.ObjectKey{Namespace: certificate.Namespace, Name: certificate.Name + "-" + strconv.Itoa(revision)}
	if err := r.Live.Get(ctx, key, &request); err != nil {
		if apierrors.IsNotFound(err) {
			return readLeaf{}, false, nil
		}
		return readLeaf{}, false, fmt.Errorf("get CertificateRequest %s: %w", key, err)
	}
	if len(request.Status.Certificate) == 0 || !metav1.IsControlledBy(&request, certificate) {
		return readLeaf{}, false, nil
	}
	return readLeaf{revision: revision, chain: request.Status.Certificate}, true, nil
}

// reissue has certificates issued anew whose leaf stands on leaving roots alone, a few at a time, and says when to look again.
func (r *Reconciler) reissue(ctx context.Context, s *scope) (time.Time, error) {
	var leaving []string
	for _, one := range s.bundles {
		if one.source.Kind != posture.OwnTrust {
			continue
		}
		for _, root := range one.decision.Leaving {
			leaving = append(leaving, root.Root.Fingerprint)
		}
	}
	if len(leaving) == 0 {
		return time.Time{}, nil
	}
	leaves := make([]posture.IssuedLeaf, len(s.chains))
	byName := map[types.NamespacedName]*certmanagerv1.Certificate{}
	for i, one := range s.chains {
		leaves[i] = issuedLeaf(one)
		byName[leaves[i].Certificate] = one.certificate
	}
	names, next := posture.DecideReissue(s.now, leaves, leaving)
	for _, name := range names {
		if err := apply.Anew(ctx, r.Client, byName[name], s.now, reissueReason, reissueMessage); err != nil {
			return time.Time{}, err
		}
	}
	return posture.Earliest(next, s.now.Add(lookSoon)), nil
}

func issuedLeaf(one chain) posture.IssuedLeaf {
	reference := one.certificate.Spec.IssuerRef
	issuer := reference.Kind + "/" + reference.Name
	if reference.Kind != certmanagerv1.ClusterIssuerKind {
		issuer = reference.Kind + "/" + one.certificate.Namespace + "/" + reference.Name
	}
	leaf := posture.IssuedLeaf{Certificate: client.ObjectKeyFromObject(one.certificate), Issuer: issuer, Issuing: apply.Issuing(one.certificate), Roots: one.roots}
	if from := one.certificate.Status.NotBefore; from != nil {
		leaf.IssuedAt = from.Time
	}
	return leaf
}
