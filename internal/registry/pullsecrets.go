// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	secretTTL     = 10 * time.Minute
	secretEntries = 1000
)

// ErrNotReadable says that labguard has no right to read the pull secrets of a namespace.
var ErrNotReadable = errors.New("the pull secrets of the namespace are not readable")

// SecretReader reads pull secrets where the team has bound the ClusterRole labguard-pull-secret-reader.
type SecretReader interface {
	// PullSecret gives the content of a Secret in the form of ~/.docker/config.json; nothing if the Secret does not exist or is of
	// another type (the kubelet skips those). The error wraps ErrNotReadable where labguard lacks the right.
	PullSecret(ctx context.Context, namespace, name string) ([]byte, error)
	// ServiceAccountPullSecrets lists the names in imagePullSecrets of a ServiceAccount; errors as above.
	ServiceAccountPullSecrets(ctx context.Context, namespace, name string) ([]string, error)
	// Forget drops what is remembered of a namespace, as the registry has refused it.
	Forget(namespace string)
}

// PullSecrets reads pull secrets from the API server with `get` alone, and remembers them for 10 minutes: no list, no watch, so that
// no informer holds the Secrets of the cluster.
type PullSecrets struct {
	reader client.Reader
	clock  clock.PassiveClock

	mu       sync.Mutex
	secrets  *lru.Cache // types.NamespacedName -> remembered[[]byte]
	accounts *lru.Cache // types.NamespacedName -> remembered[[]string]
	// forgotten holds, for a namespace, the instant before which nothing remembered counts.
	forgotten *lru.Cache
}

var _ SecretReader = (*PullSecrets)(nil)

type remembered[T any] struct {
	value T
	at    time.Time
}

// NewPullSecrets reads through an uncached reader, such as the manager's GetAPIReader.
func NewPullSecrets(reader client.Reader, passive clock.PassiveClock) *PullSecrets {
	return &PullSecrets{
		reader: reader, clock: passive,
		secrets: lru.New(secretEntries), accounts: lru.New(secretEntries), forgotten: lru.New(secretEntries),
	}
}

// PullSecret implements SecretReader.
func (p *PullSecrets) PullSecret(ctx context.Context, namespace, name string) ([]byte, error) {
	return recall(p, p.secrets, types.NamespacedName{Namespace: namespace, Name: name}, func(key types.NamespacedName) ([]byte, error) {
		var secret corev1.Secret
		if err := p.reader.Get(ctx, key, &secret); err != nil {
			return nil, readError("pull secret", key, err)
		}
		return dockerConfigOf(&secret), nil
	})
}

// ServiceAccountPullSecrets implements SecretReader.
func (p *PullSecrets) ServiceAccountPullSecrets(ctx context.Context, namespace, name string) ([]string, error) {
	return recall(p, p.accounts, types.NamespacedName{Namespace: namespace, Name: name}, func(key types.NamespacedName) ([]string, error) {
		var account corev1.ServiceAccount
		if err := p.reader.Get(ctx, key, &account); err != nil {
			return nil, readError("service account", key, err)
		}
		names := make([]string, 0, len(account.ImagePullSecrets))
		for _, reference := range account.ImagePullSecrets {
			names = append(names, reference.Name)
		}
		return names, nil
	})
}

// Forget implements SecretReader.
func (p *PullSecrets) Forget(namespace string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forgotten.Add(namespace, p.clock.Now())
}

// recall answers from memory or asks; absence is remembered as well, refusals and failures are not.
func recall[T any](
	p *PullSecrets, cache *lru.Cache, key types.NamespacedName, ask func(types.NamespacedName) (T, error),
) (T, error) {
	p.mu.Lock()
	now := p.clock.Now()
	known, found := cache.Get(key)
	forgotten, _ := p.forgotten.Get(key.Namespace)
	p.mu.Unlock()
	if entry, ok := known.(remembered[T]); found && ok && now.Sub(entry.at) < secretTTL {
		if since, ok := forgotten.(time.Time); !ok || entry.at.After(since) {
			return entry.value, nil
		}
	}
	value, err := ask(key)
	if client.IgnoreNotFound(err) != nil {
		return value, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	cache.Add(key, remembered[T]{value: value, at: now})
	return value, nil
}

func readError(what string, key types.NamespacedName, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return err
	case apierrors.IsForbidden(err), apierrors.IsUnauthorized(err):
		return fmt.Errorf("read %s %s: %w", what, key, ErrNotReadable)
	default:
		return fmt.Errorf("read %s %s: %w", what, key, err)
	}
}

// dockerConfigOf gives both kinds of pull secret in the newer form.
func dockerConfigOf(secret *corev1.Secret) []byte {
	switch secret.Type {
	case corev1.SecretTypeDockerConfigJson:
		return secret.Data[corev1.DockerConfigJsonKey]
	case corev1.SecretTypeDockercfg:
		var auths map[string]json.RawMessage
		if json.Unmarshal(secret.Data[corev1.DockerConfigKey], &auths) != nil {
			return nil
		}
		config, err := json.Marshal(map[string]any{"auths": auths})
		if err != nil {
			return nil
		}
		return config
	default:
		return nil
	}
}
