// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/api/v1alpha1"
	applyv1alpha1 "github.com/labguard/labguard/api/v1alpha1/applyconfiguration/api/v1alpha1"
)

const (
	// ProofManager is the field manager of claimsSeenAt: every replica writes it, and only it.
	ProofManager = "labguard-proofs"
	// proofStep is how exactly it is noted when claims have arrived, so that it is written once an hour at most.
	proofStep = time.Hour
	// lookEvery is how often a replica looks whether what it has seen of an issuer is noted already.
	lookEvery = time.Minute
	// maxIssuers bounds what is remembered. Admission tells of configured issuers alone, of which a cluster has a few.
	maxIssuers = 1024
	// firstRetry and lastRetry bound the wait before a write that has failed is tried again.
	firstRetry, lastRetry = time.Second, time.Minute
)

// Proofs notes in IdentityProviders that claims were seen to arrive. Each replica answers requests, so each has one.
type Proofs struct {
	reader client.Reader
	writer client.Client
	queue  workqueue.TypedRateLimitingInterface[string]

	lock sync.Mutex
	// seen is when claims of an issuer have arrived last, and looked when that was compared with what is noted.
	seen   map[string]sighting
	looked map[string]time.Time
}

// sighting is when claims have arrived, and the generation of the IdentityProvider that said which ones have to.
type sighting struct {
	at         time.Time
	generation int64
}

// +kubebuilder:rbac:groups=labguard.dev,resources=identityproviders,verbs=get;list;watch
// +kubebuilder:rbac:groups=labguard.dev,resources=identityproviders/status,verbs=patch

// NewProofs makes it. reader answers from a cache of IdentityProviders.
func NewProofs(reader client.Reader, writer client.Client, ticking clock.WithTicker) *Proofs {
	return &Proofs{reader: reader, writer: writer, queue: retrying[string](ticking), seen: map[string]sighting{}, looked: map[string]time.Time{}}
}

// retrying is a queue that waits longer after each failure.
func retrying[T comparable](ticking clock.WithTicker) workqueue.TypedRateLimitingInterface[T] {
	limiter := workqueue.NewTypedItemExponentialFailureRateLimiter[T](firstRetry, lastRetry)
	return workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[T]{Clock: ticking})
}

// Seen says that a person has shown claims of a configured issuer with all that it proves, by this generation of its object. It neither blocks nor fails, and costs a look into a map.
func (p *Proofs) Seen(issuer string, generation int64, at time.Time) {
	p.lock.Lock()
	defer p.lock.Unlock()
	if before, known := p.seen[issuer]; !known && len(p.seen) >= maxIssuers || at.Before(before.at) {
		return
	}
	p.seen[issuer] = sighting{at, generation}
	if last, looked := p.looked[issuer]; looked && at.Before(last.Add(lookEvery)) {
		return
	}
	p.looked[issuer] = at
	p.queue.Add(issuer)
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica answers admission.
func (p *Proofs) NeedLeaderElection() bool { return false }

// Start writes until the context ends. What is lost with the process is noted at the next request.
func (p *Proofs) Start(ctx context.Context) error {
	ctx = log.IntoContext(ctx, log.FromContext(ctx).WithName("proofs"))
	defer context.AfterFunc(ctx, p.queue.ShutDown)()
	for {
		issuer, ended := p.queue.Get()
		if ended || ctx.Err() != nil {
			return nil
		}
		p.work(ctx, issuer)
	}
}

// work notes what was seen of one issuer, or has it tried again later.
func (p *Proofs) work(ctx context.Context, issuer string) {
	defer p.queue.Done(issuer)
	p.lock.Lock()
	seen := p.seen[issuer]
	p.lock.Unlock()
	if err := p.note(ctx, issuer, seen); err != nil {
		log.FromContext(ctx).Error(err, "it cannot be noted that claims have arrived, which is tried again", "issuer", issuer)
		p.queue.AddRateLimited(issuer)
		return
	}
	p.queue.Forget(issuer)
}

// note writes the hour in which claims were seen, if that is not noted yet. Where two objects name the issuer it is not known, and nothing is noted; nor is what was seen
// before the object came to ask for something else.
func (p *Proofs) note(ctx context.Context, issuer string, seen sighting) error {
	var list v1alpha1.IdentityProviderList
	if err := p.reader.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list IdentityProviders: %w", err)
	}
	var provider *v1alpha1.IdentityProvider
	for i := range list.Items {
		if list.Items[i].Spec.Issuer != issuer {
			continue
		}
		if provider != nil {
			return nil
		}
		provider = &list.Items[i]
	}
	hour := metav1.NewTime(seen.at.UTC().Truncate(proofStep))
	if provider == nil || provider.DeletionTimestamp != nil || provider.Generation != seen.generation || provider.Status.ClaimsSeenAt != nil && !provider.Status.ClaimsSeenAt.Before(&hour) {
		return nil
	}
	intent := applyv1alpha1.IdentityProvider(provider.Name).WithUID(provider.UID).
		WithStatus(applyv1alpha1.IdentityProviderStatus().WithClaimsSeenAt(hour))
	err := p.writer.Status().Apply(ctx, intent, client.FieldOwner(ProofManager), client.ForceOwnership)
	switch {
	case err == nil, apierrors.IsNotFound(err):
		return nil
	case apierrors.IsConflict(err):
		return nil // another object has the name now, and the next request is looked at anew
	default:
		return fmt.Errorf("note that claims of IdentityProvider %s have arrived: %w", provider.Name, err)
	}
}
