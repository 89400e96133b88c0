// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/utils/clock"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// minRetryAfter keeps a registry from asking to be asked again at once.
const minRetryAfter = time.Second

// fetcher decides where and as whom to ask, and in which order.
type fetcher struct {
	config  Config
	sites   sites
	secrets SecretReader
	client  *registryClient
	blocks  blocks
	clock   clock.PassiveClock
}

// shared asks mirrors and registry with the operator's credentials or anonymously: the answer is the same for everybody, so that a
// public image is asked for once per cluster and no Secret is read for it.
func (f *fetcher) shared(ctx context.Context, q posture.ImageQuery) (posture.ImageFacts, failure) {
	t, err := parseReference(q.Reference)
	if err != nil {
		return posture.ImageFacts{}, invalidReference()
	}
	endpoints := f.sites.endpoints(t.repository.Registry)
	var worst failure
	for _, e := range endpoints {
		budget := f.config.Timeout
		if !e.upstream {
			budget /= time.Duration(len(endpoints))
		}
		facts, fail := f.endpoint(ctx, e, t, q, budget)
		if fail.reason == "" || fail.aborted {
			return facts, fail
		}
		// What a mirror said outweighs that nothing else answered, as in a lab without a way out.
		if worst.reason == "" || worst.transient() || !fail.transient() {
			worst = fail
		}
	}
	return posture.ImageFacts{}, worst
}

// endpoint asks one place. A mirror has its share of the time, the registry all that is left.
func (f *fetcher) endpoint(
	ctx context.Context, e endpoint, t target, q posture.ImageQuery, budget time.Duration,
) (posture.ImageFacts, failure) {
	ctx, cancel := context.WithTimeout(ctx, budget)
	defer cancel()
	t.repository = e.repository(t.repository.RepositoryStr())
	auths := []authn.AuthConfig{{}}
	if s, found := f.sites[e.registry.RegistryStr()]; found {
		ring, err := s.credentials()
		if err != nil {
			return posture.ImageFacts{}, failed(v1alpha1.ReasonCredentialsNotReadable,
				"labguard's own credentials for registry %s cannot be read from their file", hostOf(e.registry))
		}
		if matching := ring.match(t.repository); len(matching) > 0 {
			auths = matching
		}
	}
	return f.tryAll(ctx, t, q, auths, "")
}

// scoped asks the registry itself with the pull secrets that the kubelet would use, in its order: the pod's, then those of its
// ServiceAccount; of these the entries that match, the longest first. denied is what the shared attempt ended with.
func (f *fetcher) scoped(ctx context.Context, q posture.ImageQuery, scope string, denied failure) (posture.ImageFacts, failure) {
	t, err := parseReference(q.Reference)
	if err != nil {
		return posture.ImageFacts{}, invalidReference()
	}
	endpoints := f.sites.endpoints(t.repository.Registry)
	t.repository = endpoints[len(endpoints)-1].repository(t.repository.RepositoryStr())
	host := hostOf(t.repository.Registry)
	found, err := f.pullSecrets(ctx, q, t.repository)
	if err != nil {
		return posture.ImageFacts{}, failed(v1alpha1.ReasonNotResolved, "the pull secrets for registry %s cannot be read now", host)
	}
	if len(found.auths) == 0 {
		return posture.ImageFacts{}, f.noCredentials(host, q.Namespace, found, denied)
	}
	facts, fail := f.tryAll(ctx, t, q, found.auths, scope)
	if fail.reason == v1alpha1.ReasonCredentialsRejected {
		f.secrets.Forget(q.Namespace)
		if found.forbidden {
			fail = credentialsMissing(host, q.Namespace, f.config.Identity)
		}
	}
	return facts, fail
}

func (f *fetcher) noCredentials(host, namespace string, found pullSecrets, denied failure) failure {
	switch {
	case denied.reason != v1alpha1.ReasonCredentialsNotReadable:
		return denied
	case found.forbidden:
		return credentialsMissing(host, namespace, f.config.Identity)
	case found.read > 0:
		return failed(v1alpha1.ReasonCredentialsRejected, "registry %s refuses to answer without credentials, and no pull secret of the pod or its "+
			"ServiceAccount is for it", host)
	default:
		return failed(v1alpha1.ReasonCredentialsNotReadable, "registry %s wants credentials, and neither pod nor ServiceAccount names a pull "+
			"secret; name one, or give labguard credentials for that registry in its configuration", host)
	}
}

// tryAll goes on to the next credentials only where others may help.
func (f *fetcher) tryAll(
	ctx context.Context, t target, q posture.ImageQuery, auths []authn.AuthConfig, scope string,
) (posture.ImageFacts, failure) {
	var fail failure
	for _, auth := range auths {
		var facts posture.ImageFacts
		if facts, fail = f.try(ctx, t, q, auth, scope); !fail.denied() {
			return facts, fail
		}
	}
	return posture.ImageFacts{}, fail
}

func (f *fetcher) try(
	ctx context.Context, t target, q posture.ImageQuery, auth authn.AuthConfig, scope string,
) (posture.ImageFacts, failure) {
	host := t.repository.RegistryStr()
	if fail, blocked := f.blocks.get(host, scope, f.clock.Now()); blocked {
		return posture.ImageFacts{}, fail
	}
	login, err := f.client.open(ctx, t.repository, auth)
	connected := err == nil
	var facts posture.ImageFacts
	if connected {
		facts, err = f.client.describe(ctx, login, t, q)
	}
	if err == nil {
		return facts, failure{}
	}
	f.client.drop(t.repository, auth)
	fail := classify(hostOf(t.repository.Registry), err, auth != (authn.AuthConfig{}))
	if !connected && fail.silent {
		fail.wholeHost = true
	}
	if fail.wholeHost {
		f.blocks.add(host, scope, fail, f.clock.Now().Add(f.lifetime(fail)))
	}
	return posture.ImageFacts{}, fail
}

// lifetime is how long a failure is remembered.
func (f *fetcher) lifetime(fail failure) time.Duration {
	if fail.after > 0 {
		return f.config.spread(min(max(fail.after, minRetryAfter), f.config.MaxRetryAfter))
	}
	return f.config.spread(f.config.NegativeTTL)
}

// pullSecrets is what a pod's pull secrets hold for one repository.
type pullSecrets struct {
	auths []authn.AuthConfig
	// read counts the Secrets that could be read; forbidden says that at least one could not.
	read      int
	forbidden bool
}

func (f *fetcher) pullSecrets(ctx context.Context, q posture.ImageQuery, repository name.Repository) (pullSecrets, error) {
	if f.secrets == nil {
		return pullSecrets{forbidden: true}, nil
	}
	var found pullSecrets
	account := q.ServiceAccount
	if account == "" {
		account = "default"
	}
	more, err := f.secrets.ServiceAccountPullSecrets(ctx, q.Namespace, account)
	switch {
	case errors.Is(err, ErrNotReadable):
		found.forbidden = true
	case err != nil:
		return pullSecrets{}, err
	}
	var ring keyring
	names := slices.Concat(q.PullSecrets, more)
	for i, secret := range names {
		if slices.Contains(names[:i], secret) {
			continue
		}
		content, err := f.secrets.PullSecret(ctx, q.Namespace, secret)
		switch {
		case errors.Is(err, ErrNotReadable):
			found.forbidden = true
		case err != nil:
			return pullSecrets{}, err
		case content != nil:
			found.read++
			// An entry that cannot be parsed counts as absent, as for the kubelet.
			_ = ring.add(content)
		}
	}
	found.auths = ring.match(repository)
	return found, nil
}

func invalidReference() failure {
	return failed(v1alpha1.ReasonInvalidReference, "the image reference cannot be parsed; it must be [host/]repository[:tag][@digest]")
}
