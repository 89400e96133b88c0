// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// push puts an image with its lists into the registry. The tag comes last: nobody finds it before all of it is there.
func push(ctx context.Context, m made, t target, say func(string, ...any)) error {
	tag, err := name.NewTag(t.tag(m), name.StrictValidation)
	if err != nil {
		return fmt.Errorf("name the image: %w", err)
	}
	options := []remote.Option{remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("labguard-release"),
		remote.WithTransport(private{remote.DefaultTransport})}
	say("pushing %s", tag)
	if err := unused(tag, m, options); err != nil {
		return err
	}
	if err := remote.WriteIndex(tag.Digest(m.digest.String()), m.index, options...); err != nil {
		return refused("push "+tag.Name(), tag, err)
	}
	for _, one := range m.parts {
		digest, err := one.referrer.Digest()
		if err != nil {
			return fmt.Errorf("name what is in the image: %w", err)
		}
		if err := remote.Write(tag.Digest(digest.String()), one.referrer, options...); err != nil {
			return refused("push what is in "+tag.Name(), tag, err)
		}
	}
	if err := remote.Tag(tag, m.index, options...); err != nil {
		return refused("push the tag "+tag.Name(), tag, err)
	}
	return nil
}

// errPlaintext says why a registry that speaks no HTTPS is not spoken to.
var errPlaintext = errors.New("plain HTTP would show the login and let others change the image: have the registry speak HTTPS")

// private speaks HTTPS with everybody but this machine itself: the library turns to plain HTTP for registries in networks of private addresses.
type private struct{ http.RoundTripper }

// RoundTrip fails with errPlaintext for what would leave the machine in plaintext.
func (p private) RoundTrip(request *http.Request) (*http.Response, error) {
	host := request.URL.Hostname()
	address, err := netip.ParseAddr(host)
	here := host == "localhost" || err == nil && address.Unmap().IsLoopback()
	if request.URL.Scheme != "https" && !here {
		return nil, errPlaintext
	}
	return p.RoundTripper.RoundTrip(request)
}

// unused fails if the tag is another image already: whoever has deployed a version by its tag would get another program under it.
func unused(tag name.Tag, m made, options []remote.Option) error {
	found, err := remote.Head(tag, options...)
	var answer *transport.Error
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound:
		return nil
	case err != nil:
		return refused("ask for "+tag.Name(), tag, err)
	case found.Digest != m.digest:
		return fmt.Errorf("%s is %s already, and this one is %s (another version of Go, or other platforms?): tag a new version, or remove the old image first",
			tag, found.Digest, m.digest)
	}
	return nil
}

// refused adds what to do about an answer of the registry.
func refused(action string, tag name.Tag, err error) error {
	if errors.Is(err, context.Canceled) {
		return errors.New("interrupted; what is pushed already has no tag, and the same command goes on")
	}
	var answer *transport.Error
	if !errors.As(err, &answer) {
		return fmt.Errorf("%s: the registry %s does not answer: %w", action, tag.RegistryStr(), err)
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Errorf("%s: the registry %s refuses: log in with \"docker login %[2]s\" or a like command as somebody who may push there, "+
			"or set DOCKER_CONFIG to a folder whose config.json has the login: %w", action, tag.RegistryStr(), err)
	case http.StatusNotFound:
		return fmt.Errorf("%s: the registry %s does not know the repository %s, and may want it to be made first: %w", action, tag.RegistryStr(), tag.RepositoryStr(), err)
	default:
		return fmt.Errorf("%s: the registry %s answers %d: %w", action, tag.RegistryStr(), answer.StatusCode, err)
	}
}
