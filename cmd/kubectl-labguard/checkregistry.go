// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	imagename "github.com/google/go-containerregistry/pkg/name"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/check"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/registry"
)

// questionsAtOnce is how many images are asked for side by side. How many requests a registry gets is bounded by package registry.
const questionsAtOnce = 32

// registriesOf reads the registries of labguard's own configuration file. The rest of it is for labguard.
func registriesOf(file string) ([]registry.RegistryConfig, error) {
	if file == "" {
		return nil, nil
	}
	content, err := os.ReadFile(file) //nolint:gosec // G304: the person who runs it has named it
	if err != nil {
		return nil, fmt.Errorf("--config %s: %w", file, lookedFor(err))
	}
	var whole struct {
		Registries json.RawMessage `json:"registries"`
	}
	if err := yaml.Unmarshal(content, &whole); err != nil {
		return nil, fmt.Errorf("--config %s: %w", file, err)
	}
	var read []registry.RegistryConfig
	if len(whole.Registries) > 0 {
		if err := yaml.UnmarshalStrict(whole.Registries, &read); err != nil {
			return nil, fmt.Errorf("--config %s: registries: %w", file, err)
		}
	}
	return read, nil
}

// dockerLogins gives the credentials of whoever runs the plugin, where package registry expects pull secrets: one for each registry, by its host.
type dockerLogins struct{ keychain authn.Keychain }

// loginsOf is the namespace that stands for the docker configuration.
const loginsOf = "docker"

// PullSecret is the login of the docker configuration for a host, with its helpers, as the file that a pull secret holds.
func (d dockerLogins) PullSecret(ctx context.Context, _, host string) ([]byte, error) {
	target, err := imagename.NewRegistry(host)
	if err != nil {
		return nil, fmt.Errorf("parse the host of a registry: %w", err)
	}
	login, err := authn.Resolve(ctx, d.keychain, target)
	if err != nil {
		return nil, fmt.Errorf("read the login for registry %s: %w", host, err)
	}
	config, err := authn.Authorization(ctx, login)
	if err != nil {
		return nil, fmt.Errorf("read the login for registry %s: %w", host, err)
	}
	if *config == (authn.AuthConfig{}) {
		return nil, nil
	}
	return json.Marshal(map[string]any{"auths": map[string]any{host: map[string]string{
		"username": config.Username, "password": config.Password, "identitytoken": config.IdentityToken, "registrytoken": config.RegistryToken,
	}}})
}

// ServiceAccountPullSecrets are none.
func (dockerLogins) ServiceAccountPullSecrets(context.Context, string, string) ([]string, error) {
	return nil, nil
}

// Forget forgets nothing, as nothing is remembered.
func (dockerLogins) Forget(string) {}

// registryFacts asks registries for what the cache does not know.
type registryFacts struct {
	plugin     *plugin
	cache      *imageCache
	registries []registry.RegistryConfig
	keychain   authn.Keychain

	lock  sync.Mutex
	known map[string]posture.ImageFacts
}

// of are the facts of a query; false if it was not asked for.
func (r *registryFacts) of(query posture.ImageQuery) (posture.ImageFacts, bool) {
	r.lock.Lock()
	defer r.lock.Unlock()
	facts, found := r.known[check.QueryKey(query)]
	return facts, found
}

func (r *registryFacts) learn(query posture.ImageQuery, facts posture.ImageFacts) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.known[check.QueryKey(query)] = facts
}

// gather answers queries from the cache, and asks registries for the rest unless that is not wanted.
func (r *registryFacts) gather(ctx context.Context, queries []posture.ImageQuery, offline bool) error {
	rest := r.recall(queries)
	if len(rest) > 0 && !offline {
		over := r.plugin.during(ctx, "asking registries for "+several(len(rest), "image", "images"))
		err := r.ask(ctx, rest)
		over()
		if err != nil {
			return err
		}
	}
	if err := r.cache.save(r.plugin.clock.Now()); err != nil {
		_, err = fmt.Fprintf(r.plugin.ErrOut, "Warning: %s\n", visibleLines(err.Error()))
		return err
	}
	return nil
}

// recall answers what the cache knows, and gives the rest.
func (r *registryFacts) recall(queries []posture.ImageQuery) (rest []posture.ImageQuery) {
	now := r.plugin.clock.Now()
	for _, query := range queries {
		_, pinned, _ := strings.Cut(query.Reference, "@")
		if facts, found := r.cache.facts(query, pinned, now); found {
			r.learn(query, facts)
		} else {
			rest = append(rest, query)
		}
	}
	return rest
}

// ask asks registries, within the limits that labguard itself keeps: requests in a second, time, bytes, and addresses that it does not call.
func (r *registryFacts) ask(ctx context.Context, queries []posture.ImageQuery) error {
	resolver, err := registry.New(registry.Config{Registries: r.registries, Records: r.cache}, dockerLogins{r.keychain}, r.plugin.clock)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	var fetching, asking sync.WaitGroup
	fetching.Go(func() { _ = resolver.Start(running) }) // it ends with its context, and has no other error
	defer fetching.Wait()
	defer stop()
	waiting := make(chan posture.ImageQuery)
	for range min(questionsAtOnce, len(queries)) {
		asking.Go(func() {
			for query := range waiting {
				facts := resolver.Resolve(ctx, asYourself(query))
				if !strings.Contains(query.Reference, "@") {
					r.cache.keepTag(query.Reference, facts)
				}
				r.learn(query, advised(query, facts))
			}
		})
	}
	for _, query := range queries {
		waiting <- query
	}
	close(waiting)
	asking.Wait()
	return ctx.Err()
}

// asYourself asks with the logins of whoever runs the plugin in place of those of the pods.
func asYourself(query posture.ImageQuery) posture.ImageQuery {
	query.Namespace, query.ServiceAccount, query.PullSecrets = loginsOf, "", nil
	if host := hostOf(query.Reference); host != "" {
		query.PullSecrets = []string{host}
	}
	return query
}

func hostOf(reference string) string {
	parsed, err := imagename.ParseReference(reference, imagename.WeakValidation)
	if err != nil {
		return ""
	}
	return parsed.Context().RegistryStr()
}

// advised says what helps whoever runs the plugin, where package registry says what helps labguard.
func advised(query posture.ImageQuery, facts posture.ImageFacts) posture.ImageFacts {
	host := hostOf(query.Reference)
	switch facts.Unknown {
	case v1alpha1.ReasonCredentialsNotReadable:
		facts.Detail = fmt.Sprintf("registry %s wants credentials, and your docker configuration has none for it: run docker login %s", host, host)
	case v1alpha1.ReasonCredentialsRejected:
		facts.Detail = fmt.Sprintf("registry %s refuses the credentials of your docker configuration: run docker login %s anew", host, host)
	case v1alpha1.ReasonNotResolved:
		if strings.Contains(facts.Detail, "pull secrets") {
			facts.Detail = fmt.Sprintf("the credentials for registry %s cannot be read from your docker configuration or its helper: docker login %s shows why", host, host)
		}
	case v1alpha1.ReasonRegistryAddressRefused:
		facts.Detail += "; give the file with that configuration to --config"
	}
	return facts
}
