// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"k8s.io/utils/clock"
	"k8s.io/utils/lru"

	"github.com/labguard/labguard/internal/posture"
)

const (
	// sessionTTL is how long a login is used again; expired tokens are renewed within it.
	sessionTTL     = 5 * time.Minute
	sessionEntries = 1000
)

// registryClient asks registries. It knows nothing of questions and waiting.
type registryClient struct {
	config   Config
	base     http.RoundTripper
	clock    clock.PassiveClock
	contents *contents
	sessions *lru.Cache // sessionKey -> *session
	reads    reads
}

type sessionKey struct{ repository, credentials string }

// session is a login at one repository.
type session struct {
	http       *http.Client
	repository name.Repository
	since      time.Time
}

// open logs in, or takes up a login of before. The ping and the token flow are go-containerregistry's.
func (c *registryClient) open(ctx context.Context, repository name.Repository, auth authn.AuthConfig) (*session, error) {
	key := sessionKey{repository: repository.Name(), credentials: fingerprint(auth)}
	found, _ := c.sessions.Get(key)
	if s, ok := found.(*session); ok && c.clock.Since(s.since) < sessionTTL {
		return s, nil
	}
	authenticator := authn.Anonymous
	if auth != (authn.AuthConfig{}) {
		authenticator = authn.FromConfig(auth)
	}
	roundTripper, err := transport.NewWithContext(
		ctx, repository.Registry, authenticator, c.base, []string{repository.Scope(transport.PullScope)})
	if err != nil {
		return nil, err
	}
	s := &session{http: &http.Client{Transport: roundTripper}, repository: repository, since: c.clock.Now()}
	c.sessions.Add(key, s)
	return s, nil
}

func (c *registryClient) drop(repository name.Repository, auth authn.AuthConfig) {
	c.sessions.Remove(sessionKey{repository: repository.Name(), credentials: fingerprint(auth)})
}

// blob is a body as it came, not verified.
type blob struct {
	content     []byte
	contentType string
	// digest is what the registry claims in Docker-Content-Digest.
	digest string
}

// statusError is an answer other than 200. What its body says is not read: a stranger wrote it.
type statusError struct{ code int }

func (e *statusError) Error() string { return fmt.Sprintf("the registry answers %d", e.code) }

// ask sends one request and reads at most limit bytes of the answer.
func (s *session) ask(ctx context.Context, method, kind, identifier string, limit int64) (blob, error) {
	address := url.URL{
		Scheme: s.repository.Scheme(), Host: s.repository.RegistryStr(),
		Path: fmt.Sprintf("/v2/%s/%s/%s", s.repository.RepositoryStr(), kind, identifier),
	}
	request, err := http.NewRequestWithContext(ctx, method, address.String(), http.NoBody)
	if err != nil {
		return blob{}, fmt.Errorf("build request: %w", err)
	}
	if kind == "manifests" {
		types := make([]string, 0, len(accepted))
		for _, mediaType := range accepted {
			types = append(types, string(mediaType))
		}
		request.Header.Set("Accept", strings.Join(types, ","))
	}
	response, err := s.http.Do(request)
	if err != nil {
		return blob{}, fmt.Errorf("ask for %s: %w", kind, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return blob{}, fmt.Errorf("ask for %s: %w", kind, &statusError{code: response.StatusCode})
	}
	answer := blob{contentType: response.Header.Get("Content-Type"), digest: response.Header.Get("Docker-Content-Digest")}
	if method == http.MethodHead {
		return answer, nil
	}
	if response.ContentLength > limit {
		return blob{}, errTooLarge
	}
	answer.content, err = io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err != nil {
		return blob{}, fmt.Errorf("read %s: %w", kind, err)
	}
	if int64(len(answer.content)) > limit {
		return blob{}, errTooLarge
	}
	return answer, nil
}

// describe resolves a target and puts its facts together; a digest that is known needs no request. reference is how it was asked for.
func (c *registryClient) describe(ctx context.Context, s *session, t target, q posture.ImageQuery) (posture.ImageFacts, error) {
	digest, answer := t.digest, blob{}
	if digest == "" {
		var err error
		if digest, answer, err = c.resolveTag(ctx, s, t.tag); err != nil {
			return posture.ImageFacts{}, err
		}
	}
	resolvedAt := c.clock.Now()
	facts, missing, _ := c.contents.facts(posture.Repository(q.Reference), digest, q.Platform)
	// What was read is kept at hand, as the memory may be too small for one image.
	gathered := map[string]posture.Content{}
	for missing != "" {
		if missing != digest {
			answer = blob{}
		}
		content, err := c.content(ctx, s, missing, q.Reference, answer)
		if err != nil {
			return posture.ImageFacts{}, err
		}
		gathered[missing] = content
		facts, missing = c.gather(digest, q, gathered)
	}
	if facts.Unknown != "" {
		return posture.ImageFacts{}, &unusableError{reason: facts.Unknown, detail: facts.Detail}
	}
	facts.ResolvedAt = resolvedAt
	return facts, nil
}

// gather puts facts together from what one fetch has read and from what was known.
func (c *registryClient) gather(digest string, q posture.ImageQuery, gathered map[string]posture.Content) (posture.ImageFacts, string) {
	var layers string
	facts, missing := posture.FactsOf(digest, q.Platform, func(wanted string) (posture.Content, bool) {
		content, found := gathered[wanted]
		if !found {
			content, found, _ = c.contents.get(wanted)
		}
		layers = content.Layers
		return content, found
	})
	return c.contents.withSameContent(facts, posture.Repository(q.Reference), layers), missing
}

// resolveTag asks by HEAD, which registries do not count as a pull; where that gives no digest, by GET, and the body is handed on.
func (c *registryClient) resolveTag(ctx context.Context, s *session, tag string) (string, blob, error) {
	head, err := s.ask(ctx, http.MethodHead, "manifests", tag, 0)
	if err != nil && !headUnsupported(err) {
		return "", blob{}, err
	}
	if err == nil {
		if isSchema1(head.contentType) {
			return "", blob{}, errSchema1()
		}
		if digest, err := v1.NewHash(head.digest); err == nil {
			return digest.String(), blob{}, nil
		}
	}
	answer, err := s.ask(ctx, http.MethodGet, "manifests", tag, c.config.MaxManifestBytes)
	if err != nil {
		return "", blob{}, err
	}
	sum := sha256.Sum256(answer.content)
	return "sha256:" + hex.EncodeToString(sum[:]), answer, nil
}

func headUnsupported(err error) bool {
	var answer *statusError
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.code {
	case http.StatusBadRequest, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// content is what a digest says. Who asks the same host for it at the same time waits for one answer; if that one fails, each tries for itself, as
// it may have other credentials.
func (c *registryClient) content(ctx context.Context, s *session, digest, reference string, answer blob) (posture.Content, error) {
	read, first := c.reads.join(readKey{host: s.repository.RegistryStr(), digest: digest})
	if !first {
		select {
		case <-ctx.Done():
			return posture.Content{}, ctx.Err()
		case <-read.done:
		}
		if read.found {
			return read.content, nil
		}
		return c.read(ctx, s, digest, reference, answer)
	}
	content, err := c.read(ctx, s, digest, reference, answer)
	c.reads.finish(read, content, err == nil)
	return content, err
}

// read asks for a manifest and the configuration that it names, each verified before it is looked at, and remembers what they say.
func (c *registryClient) read(ctx context.Context, s *session, digest, reference string, answer blob) (posture.Content, error) {
	if known, found, _ := c.contents.get(digest); found {
		return known, nil
	}
	m, err := c.manifest(ctx, s, digest, answer)
	if err != nil {
		return posture.Content{}, err
	}
	var content posture.Content
	if m.isIndex() {
		content, err = m.index()
	} else {
		content, err = c.image(ctx, s, m)
	}
	if err != nil {
		return posture.Content{}, err
	}
	content.Digest, content.Reference, content.FirstSeen = digest, reference, posture.Moment(c.clock.Now())
	c.contents.add(content)
	return content, nil
}

func (c *registryClient) manifest(ctx context.Context, s *session, digest string, answer blob) (manifest, error) {
	hash, err := v1.NewHash(digest)
	if err != nil {
		return manifest{}, invalidf("the digest of the manifest cannot be read")
	}
	if answer.content == nil {
		if answer, err = s.ask(ctx, http.MethodGet, "manifests", digest, c.config.MaxManifestBytes); err != nil {
			return manifest{}, err
		}
	}
	// A signed schema 1 manifest does not hash to its digest; say what it is rather than that it is forged.
	if isSchema1(answer.contentType) {
		return manifest{}, errSchema1()
	}
	if err := verify("manifest", answer.content, hash); err != nil {
		return manifest{}, err
	}
	return parseManifest(answer.content, answer.contentType)
}

func (c *registryClient) image(ctx context.Context, s *session, m manifest) (posture.Content, error) {
	var config imageConfig
	if isImageConfig(m.Config.MediaType) {
		var err error
		if config, err = c.imageConfig(ctx, s, m.Config); err != nil {
			return posture.Content{}, err
		}
	}
	return m.image(config), nil
}

func (c *registryClient) imageConfig(ctx context.Context, s *session, descriptor *v1.Descriptor) (imageConfig, error) {
	if descriptor.Digest.Hex == "" {
		return imageConfig{}, invalidf("the manifest names no configuration")
	}
	if descriptor.Size > c.config.MaxConfigBytes {
		return imageConfig{}, errTooLarge
	}
	answer, err := s.ask(ctx, http.MethodGet, "blobs", descriptor.Digest.String(), c.config.MaxConfigBytes)
	if err != nil {
		return imageConfig{}, err
	}
	if err := verify("image configuration", answer.content, descriptor.Digest); err != nil {
		return imageConfig{}, err
	}
	return parseConfig(answer.content)
}
