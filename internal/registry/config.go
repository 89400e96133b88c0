// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// Config says how to reach registries. Zero values mean the defaults named at each field.
type Config struct {
	// Registries lists the registries that need more than their name. All others are asked by https, anonymously or with pull secrets.
	Registries []RegistryConfig
	// Timeout bounds one fetch as a whole: mirrors, logins, redirects and bodies. Default 10 s.
	Timeout time.Duration
	// MaxManifestBytes and MaxConfigBytes bound the bodies that are read. Default 4 MiB and 10 MiB.
	MaxManifestBytes, MaxConfigBytes int64
	// MaxRedirects is how often one request may be sent on. Default 3.
	MaxRedirects int
	// TagTTL is how long the digest behind a tag is believed. Default 60 s.
	TagTTL time.Duration
	// NegativeTTL is how long a failure is remembered. Default 30 s.
	NegativeTTL time.Duration
	// MaxRetryAfter caps what a registry may ask for with Retry-After. Default 10 min.
	MaxRetryAfter time.Duration
	// WorkersPerHost is how many fetches run at once for the images of one registry, Workers how many in all. Default 4 and 64.
	WorkersPerHost, Workers int
	// MaxPending is how many fetches may wait or run; those for one registry are at most half of them. Default 1024.
	MaxPending int
	// RequestsPerSecond is how many HTTP requests one host gets in the long run, RequestBurst how many at once. Default 20 and 40.
	RequestsPerSecond, RequestBurst int
	// CacheEntries bounds each of the caches (references, digests); the least recently used go first. Default 20,000.
	CacheEntries int
	// Records keep what digests say beyond this process. None by default.
	Records Records
	// Random gives numbers from 0 up to 1, by which lifetimes are spread, so that what was learned at one time is not asked again at one time.
	// Default math/rand/v2.
	Random func() float64
	// Identity is labguard's own ServiceAccount as namespace:name, for the command in messages. Default labguard-system:labguard.
	Identity string
}

// RegistryConfig is what the platform team says about one registry.
type RegistryConfig struct { //nolint:revive // registry.Config is the whole; this is one of the "registries" of the configuration file
	// Host is the host and optional port as it stands in image references, such as docker.io or registry.lab.example:5000.
	Host string `json:"host"`
	// Mirrors are asked before Host, in this order: host[:port][/prefix]. A mirror with a CA, credentials or plain http of its own has
	// its own entry in Registries. Pull secrets are never sent to a mirror.
	Mirrors []string `json:"mirrors,omitempty"`
	// CAFile names a PEM bundle that is trusted for this host besides the system's; CA is the same inline.
	CAFile string `json:"caFile,omitempty"`
	CA     string `json:"ca,omitempty"`
	// DockerConfigFile names a file in the format of ~/.docker/config.json (only "auths" is used). It is read anew for each fetch, so
	// that rotation needs no restart.
	DockerConfigFile string `json:"dockerConfigFile,omitempty"`
	// Username with PasswordFile is the other way to give credentials; the file is read anew for each fetch.
	Username     string `json:"username,omitempty"`
	PasswordFile string `json:"passwordFile,omitempty"`
	// Insecure asks this host by plain http, and only by plain http.
	Insecure bool `json:"insecure,omitempty"`
	// AllowedAddresses lists addresses that would be refused otherwise (loopback, link-local, metadata) and are meant for this host.
	AllowedAddresses []netip.Prefix `json:"allowedAddresses,omitempty"`
}

const (
	defaultTimeout          = 10 * time.Second
	defaultMaxManifestBytes = 4 << 20
	defaultMaxConfigBytes   = 10 << 20
	defaultMaxRedirects     = 3
	defaultTagTTL           = 60 * time.Second
	defaultNegativeTTL      = 30 * time.Second
	defaultMaxRetryAfter    = 10 * time.Minute
	defaultWorkersPerHost   = 4
	defaultWorkers          = 64
	defaultMaxPending       = 1024
	defaultRequestRate      = 20
	defaultRequestBurst     = 40
	defaultCacheEntries     = 20000
	defaultIdentity         = "labguard-system:labguard"

	// maxSecretFileBytes bounds a credentials file: the API server's limit for a Secret is 1 MiB.
	maxSecretFileBytes = 1 << 20
)

func (c Config) withDefaults() Config {
	setDefault(&c.Timeout, defaultTimeout)
	setDefault(&c.MaxManifestBytes, defaultMaxManifestBytes)
	setDefault(&c.MaxConfigBytes, defaultMaxConfigBytes)
	setDefault(&c.MaxRedirects, defaultMaxRedirects)
	setDefault(&c.TagTTL, defaultTagTTL)
	setDefault(&c.NegativeTTL, defaultNegativeTTL)
	setDefault(&c.MaxRetryAfter, defaultMaxRetryAfter)
	setDefault(&c.WorkersPerHost, defaultWorkersPerHost)
	setDefault(&c.Workers, defaultWorkers)
	setDefault(&c.MaxPending, defaultMaxPending)
	setDefault(&c.RequestsPerSecond, defaultRequestRate)
	setDefault(&c.RequestBurst, defaultRequestBurst)
	setDefault(&c.CacheEntries, defaultCacheEntries)
	if c.Identity == "" {
		c.Identity = defaultIdentity
	}
	if c.Random == nil {
		c.Random = rand.Float64
	}
	return c
}

// spread lengthens a lifetime by a random part of up to a fifth. It never shortens one, as a registry may have asked for it.
func (c Config) spread(lifetime time.Duration) time.Duration {
	return lifetime + time.Duration(c.Random()*float64(lifetime)/5)
}

func setDefault[T int | int64 | time.Duration](value *T, fallback T) {
	if *value <= 0 {
		*value = fallback
	}
}

// endpoint is a place that has a registry's repositories: the registry itself or a mirror.
type endpoint struct {
	registry name.Registry
	// prefix goes before the repository; only mirrors have one.
	prefix string
	// upstream is true for the registry that the reference names.
	upstream bool
}

func (e endpoint) repository(repository string) name.Repository {
	if e.prefix == "" {
		return e.registry.Repo(repository)
	}
	return e.registry.Repo(e.prefix, repository)
}

// site is a RegistryConfig, read and checked.
type site struct {
	RegistryConfig
	registry name.Registry
	mirrors  []string
	roots    *x509.CertPool
}

// sites maps the host of a registry, as go-containerregistry spells it (docker.io is index.docker.io), to what is configured for it.
type sites map[string]site

func newSites(configured []RegistryConfig) (sites, error) {
	all := make(sites, len(configured))
	for _, config := range configured {
		s, err := newSite(config)
		if err != nil {
			return nil, fmt.Errorf("registry %q: %w", config.Host, err)
		}
		if _, found := all[s.registry.RegistryStr()]; found {
			return nil, fmt.Errorf("registry %q is configured twice", config.Host)
		}
		all[s.registry.RegistryStr()] = s
	}
	return all, nil
}

func newSite(config RegistryConfig) (site, error) {
	registry, err := parseHost(config.Host, config.Insecure)
	if err != nil {
		return site{}, err
	}
	s := site{RegistryConfig: config, registry: registry, mirrors: config.Mirrors}
	for _, mirror := range config.Mirrors {
		host, _, _ := strings.Cut(mirror, "/")
		if _, err := parseHost(host, false); err != nil {
			return site{}, fmt.Errorf("mirror %q: %w", mirror, err)
		}
	}
	if s.roots, err = rootsOf(config); err != nil {
		return site{}, err
	}
	if (config.Username == "") != (config.PasswordFile == "") {
		return site{}, errors.New("username and passwordFile belong together: give both or neither")
	}
	if config.Username != "" && config.DockerConfigFile != "" {
		return site{}, errors.New("give either username and passwordFile or dockerConfigFile, not both")
	}
	// A wrong file is found at the start, not in the night when a pull needs it.
	if _, err := s.credentials(); err != nil {
		return site{}, err
	}
	return s, nil
}

func parseHost(host string, insecure bool) (name.Registry, error) {
	if host == "" || strings.ContainsAny(host, "/@ ") {
		return name.Registry{}, errors.New("the host must be host or host:port, without scheme and path")
	}
	options := []name.Option{name.StrictValidation}
	if insecure {
		options = append(options, name.Insecure)
	}
	registry, err := name.NewRegistry(strings.ToLower(host), options...)
	if err != nil {
		return name.Registry{}, fmt.Errorf("parse host: %w", err)
	}
	return registry, nil
}

func rootsOf(config RegistryConfig) (*x509.CertPool, error) {
	bundle := []byte(config.CA)
	if config.CAFile != "" {
		file, err := os.ReadFile(config.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read caFile: %w", err)
		}
		bundle = append(append(bundle, '\n'), file...)
	}
	if len(bundle) == 0 {
		return nil, nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(bundle) {
		return nil, errors.New("the CA holds no PEM certificate")
	}
	return roots, nil
}

// endpoints lists where to ask for a repository of a registry: mirrors first, as containerd does.
func (s sites) endpoints(registry name.Registry) []endpoint {
	var list []endpoint
	for _, mirror := range s[registry.RegistryStr()].mirrors {
		host, prefix, _ := strings.Cut(mirror, "/")
		parsed, err := parseHost(host, s.insecure(host))
		if err != nil {
			continue // newSite has refused it already
		}
		list = append(list, endpoint{registry: parsed, prefix: strings.Trim(prefix, "/")})
	}
	if s.insecure(registry.RegistryStr()) {
		registry = s[registry.RegistryStr()].registry
	}
	return append(list, endpoint{registry: registry, upstream: true})
}

func (s sites) insecure(host string) bool { return s[strings.ToLower(host)].Insecure }

// dialAddress is what net/http dials for the site: host:port, with the port of the scheme filled in.
func (s site) dialAddress() string {
	host := s.registry.RegistryStr()
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := "443"
	if s.Insecure {
		port = "80"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}
