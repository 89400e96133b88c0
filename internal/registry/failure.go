// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/labguard/labguard/api/v1alpha1"
)

// failure is why nothing is known. Its detail is built from what kind of failure it is and from the host, never from the text of an
// error: that may quote what a token server sent.
type failure struct {
	reason, detail string
	// after is what the registry asked for with Retry-After; zero if nothing.
	after time.Duration
	// wholeHost says that other requests to the host would fail the same way.
	wholeHost bool
	// silent says that the host did not answer in time.
	silent bool
	// aborted says that labguard stopped the fetch itself, so that it says nothing about the registry.
	aborted bool
}

// denied says whether other credentials might help. Some registries say 404 rather than admit that a private repository exists, and
// Docker Hub throttles those without a login first.
func (f failure) denied() bool { return wantsCredentials(f.reason) }

func wantsCredentials(reason string) bool {
	switch reason {
	case v1alpha1.ReasonCredentialsNotReadable, v1alpha1.ReasonCredentialsRejected, v1alpha1.ReasonImageNotFound,
		v1alpha1.ReasonRegistryThrottled:
		return true
	}
	return false
}

// transient says whether the same image may well be there, so that what was known of a tag may stand a while longer.
func (f failure) transient() bool {
	return f.reason == v1alpha1.ReasonRegistryUnreachable || f.reason == v1alpha1.ReasonRegistryThrottled ||
		f.reason == v1alpha1.ReasonNotResolved
}

func (f failure) unreachable() bool { return f.reason == v1alpha1.ReasonRegistryUnreachable }

func failed(reason, format string, args ...any) failure {
	return failure{reason: reason, detail: fmt.Sprintf(format, args...)}
}

// classify turns what a request to a host ended with into a failure. withCredentials says whether any were sent.
func classify(host string, err error, withCredentials bool) failure {
	var (
		address   *addressError
		throttled *throttledError
		login     *transport.Error
		answer    *statusError
		invalid   *invalidError
		unusable  *unusableError
		plaintext *plaintextError
	)
	switch {
	case errors.As(err, &address):
		return failed(v1alpha1.ReasonRegistryAddressRefused, "%s; labguard does not call it unless allowedAddresses of that registry in its "+
			"configuration says so (asked for by an image at %s)", address.Error(), host)
	case errors.As(err, &plaintext):
		return failed(v1alpha1.ReasonRegistryAddressRefused, "registry %s sends labguard on to plain http at %s; use https there, or set "+
			"insecure for that host in labguard's configuration", host, plaintext.host)
	case errors.As(err, &throttled):
		f := failed(v1alpha1.ReasonRegistryThrottled, "registry %s limits labguard's requests (429); it is asked again later; credentials or a "+
			"mirror in labguard's configuration raise the limit", host)
		f.after, f.wholeHost = throttled.after, true
		return f
	case errors.As(err, &invalid):
		return failed(v1alpha1.ReasonInvalidImage, "registry %s: %s", host, invalid.detail)
	case errors.As(err, &unusable):
		return failed(unusable.reason, "registry %s: %s", host, unusable.detail)
	case errors.Is(err, errHeldBack):
		return failed(v1alpha1.ReasonNotResolved, "labguard has too many questions for registry %s and holds back; it asks again later", host)
	case errors.Is(err, errTooLarge):
		return failed(v1alpha1.ReasonInvalidImage, "registry %s sends more than an image's description may have", host)
	case errors.As(err, &answer):
		return classifyStatus(host, answer.code, withCredentials)
	case errors.As(err, &login):
		f := classifyStatus(host, login.StatusCode, withCredentials)
		// The ping is the same for every image of the host; what a token server says may depend on the repository.
		f.wholeHost = f.unreachable() && login.Request != nil && login.Request.URL.Path == "/v2/"
		return f
	default:
		return classifyConnection(host, err)
	}
}

func classifyStatus(host string, status int, withCredentials bool) failure {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		if withCredentials {
			return failed(v1alpha1.ReasonCredentialsRejected, "registry %s refuses the credentials (%d); check the pull secret or labguard's "+
				"configuration for that registry", host, status)
		}
		return failed(v1alpha1.ReasonCredentialsNotReadable, "registry %s wants credentials (%d) and labguard has none for it", host, status)
	case http.StatusNotFound:
		return failed(v1alpha1.ReasonImageNotFound, "registry %s does not have the image", host)
	default:
		return failed(v1alpha1.ReasonRegistryUnreachable, "registry %s answers %d", host, status)
	}
}

func classifyConnection(host string, err error) failure {
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
		dial        *net.OpError
	)
	f := failure{reason: v1alpha1.ReasonRegistryUnreachable}
	switch {
	case errors.Is(err, context.Canceled):
		return failure{reason: v1alpha1.ReasonNotResolved, detail: "labguard stopped before the registry answered", aborted: true}
	case errors.Is(err, errTooManyRedirects), errors.Is(err, errSecretRedirect):
		f.detail = fmt.Sprintf("registry %s: %s", host, rootOf(err, errTooManyRedirects, errSecretRedirect))
	case errors.As(err, &dns):
		f.detail, f.wholeHost = fmt.Sprintf("the name of registry %s cannot be resolved", host), true
	case errors.As(err, &certificate):
		f.detail = fmt.Sprintf("the certificate of registry %s is not trusted; give its CA in labguard's configuration", host)
		f.wholeHost = true
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		f.detail = fmt.Sprintf("registry %s does not speak https; set insecure for that host in labguard's configuration if plain http is meant", host)
		f.wholeHost = true
	case errors.As(err, &dial) && dial.Op == "dial":
		f.detail, f.wholeHost = fmt.Sprintf("no connection to registry %s", host), true
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		f.detail, f.silent = fmt.Sprintf("registry %s did not answer in time", host), true
	case strings.Contains(err.Error(), "www-authenticate"), strings.Contains(err.Error(), "bearer response"):
		f.detail = fmt.Sprintf("the login that registry %s asks for cannot be done", host)
	default:
		f.detail = fmt.Sprintf("registry %s broke the connection off", host)
	}
	return f
}

func rootOf(err error, candidates ...error) error {
	for _, candidate := range candidates {
		if errors.Is(err, candidate) {
			return candidate
		}
	}
	return err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// credentialsMissing tells a team how to let labguard read its pull secrets.
func credentialsMissing(host, namespace, identity string) failure {
	return failed(v1alpha1.ReasonCredentialsNotReadable, "registry %s wants credentials and labguard may not read pull secrets here; run: "+
		"kubectl create rolebinding labguard-pull-secrets --clusterrole=labguard-pull-secret-reader --serviceaccount=%s -n %s",
		host, identity, namespace)
}
