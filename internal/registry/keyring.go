// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// maxCredentials bounds how many credentials are tried for one image.
const maxCredentials = 5

// keyring finds credentials as the kubelet does (k8s.io/kubernetes/pkg/credentialprovider): an entry matches an image if its host does,
// part by part with * for a whole or partial label, its port is equal and its path is a prefix; the longer entry goes first, and all
// that match are tried. go-containerregistry's authn/kubernetes is not used: it tries the first match only, and one Secret that
// cannot be parsed takes all the others with it.
type keyring struct {
	entries []credential
}

type credential struct {
	pattern string
	auth    authn.AuthConfig
}

// add takes the entries of a ~/.docker/config.json. The error never holds any of the content.
func (k *keyring) add(dockerConfig []byte) error {
	var config struct {
		Auths map[string]json.RawMessage `json:"auths"`
	}
	if err := json.Unmarshal(dockerConfig, &config); err != nil {
		return errors.New("the docker config is not valid JSON")
	}
	patterns := make([]string, 0, len(config.Auths))
	for pattern := range config.Auths {
		patterns = append(patterns, pattern)
	}
	slices.Sort(patterns)
	broken := 0
	for _, pattern := range patterns {
		var auth authn.AuthConfig
		if err := json.Unmarshal(config.Auths[pattern], &auth); err != nil {
			broken++
			continue
		}
		auth.Auth = "" // decoded into Username and Password
		if auth != (authn.AuthConfig{}) {
			k.entries = append(k.entries, credential{pattern: cleanPattern(pattern), auth: auth})
		}
	}
	if broken > 0 {
		return errors.New("an entry of the docker config cannot be read")
	}
	return nil
}

// cleanPattern strips what docker login writes around the host: scheme and /v1/ or /v2/.
func cleanPattern(pattern string) string {
	pattern = strings.TrimPrefix(strings.TrimPrefix(pattern, "https://"), "http://")
	host, rest, _ := strings.Cut(pattern, "/")
	rest = strings.Trim(rest, "/")
	for _, version := range []string{"v1", "v2"} {
		if rest == version {
			rest = ""
		}
		rest = strings.TrimPrefix(rest, version+"/")
	}
	host = strings.ToLower(host)
	if host == "docker.io" || host == "registry-1.docker.io" {
		host = name.DefaultRegistry
	}
	if rest == "" {
		return host
	}
	return host + "/" + rest
}

// match lists the credentials for a repository in the order in which they are tried.
func (k *keyring) match(repository name.Repository) []authn.AuthConfig {
	var matching []credential
	for _, entry := range k.entries {
		if patternMatches(entry.pattern, repository) {
			matching = append(matching, entry)
		}
	}
	slices.SortStableFunc(matching, func(a, b credential) int { return strings.Compare(b.pattern, a.pattern) })
	var auths []authn.AuthConfig
	for _, entry := range matching {
		if !slices.Contains(auths, entry.auth) && len(auths) < maxCredentials {
			auths = append(auths, entry.auth)
		}
	}
	return auths
}

func patternMatches(pattern string, repository name.Repository) bool {
	host, prefix, _ := strings.Cut(pattern, "/")
	if !strings.HasPrefix(repository.RepositoryStr(), prefix) {
		return false
	}
	wantedName, wantedPort := splitPort(host)
	actualName, actualPort := splitPort(repository.RegistryStr())
	wanted, actual := strings.Split(wantedName, "."), strings.Split(strings.ToLower(actualName), ".")
	if wantedPort != actualPort || len(wanted) != len(actual) {
		return false
	}
	for i := range wanted {
		if matched, err := path.Match(wanted[i], actual[i]); err != nil || !matched {
			return false
		}
	}
	return true
}

func splitPort(hostport string) (host, port string) {
	host, port, err := net.SplitHostPort(hostport)
	if err != nil {
		return hostport, ""
	}
	return host, port
}

// credentials is what the operator's configuration holds for the site, read anew from its files.
func (s site) credentials() (keyring, error) {
	var k keyring
	switch {
	case s.DockerConfigFile != "":
		content, err := readBounded(s.DockerConfigFile)
		if err != nil {
			return k, fmt.Errorf("read dockerConfigFile: %w", err)
		}
		if err := k.add(content); err != nil {
			return k, fmt.Errorf("read dockerConfigFile: %w", err)
		}
	case s.PasswordFile != "":
		content, err := readBounded(s.PasswordFile)
		if err != nil {
			return k, fmt.Errorf("read passwordFile: %w", err)
		}
		auth := authn.AuthConfig{Username: s.Username, Password: strings.TrimRight(string(content), "\r\n")}
		k.entries = append(k.entries, credential{pattern: s.registry.RegistryStr(), auth: auth})
	}
	return k, nil
}

func readBounded(file string) ([]byte, error) {
	opened, err := os.Open(file) //nolint:gosec // G304: the operator's own configuration names the file
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	return io.ReadAll(io.LimitReader(opened, maxSecretFileBytes))
}

// fingerprint tells credentials apart without keeping them.
func fingerprint(auth authn.AuthConfig) string {
	if auth == (authn.AuthConfig{}) {
		return ""
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q", auth.Username, auth.Password, auth.IdentityToken, auth.RegistryToken))
	return hex.EncodeToString(sum[:])
}
