// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/registry"
)

// configuration is the configuration file: what the platform team decides for the whole cluster. docs/configuration.md describes each field.
type configuration struct {
	// TrustDomain is the SPIFFE trust domain of the issued identities, such as lab.example.
	TrustDomain string `json:"trustDomain"`
	// ClusterDomain is the DNS domain of Services. Default cluster.local.
	ClusterDomain string `json:"clusterDomain"`
	// Issuers are the cert-manager issuers that LabWorkloads may name. None: no certificate is issued.
	Issuers []issuer `json:"issuers"`
	// CertManagerUser is who cert-manager's controller is. Default system:serviceaccount:cert-manager:cert-manager.
	CertManagerUser string `json:"certManagerUser"`
	// TrustDomains are the trust domains whose identities are believed, with their roots. The entry named like TrustDomain is the cluster's own.
	TrustDomains []trustDomain `json:"trustDomains"`
	// ExternalAuthorities sign for peers outside of the cluster that LabWorkloads may name.
	ExternalAuthorities []externalAuthority `json:"externalAuthorities"`
	// Airlock is the sidecar.
	Airlock airlock `json:"airlock"`
	// NodeAddresses are the address blocks of the nodes, for networks whose policies do not let the kubelet's probes through by themselves.
	NodeAddresses []netip.Prefix `json:"nodeAddresses"`
	// ExcludedNamespaces are namespaces in which the gate never stands, besides the built-in ones.
	ExcludedNamespaces []string `json:"excludedNamespaces"`
	// GitOpsNamespaces are namespaces whose ServiceAccounts write on behalf of tenants. Default flux-system and argocd.
	GitOpsNamespaces []string `json:"gitOpsNamespaces"`
	// DNS says where pods resolve names. Default: the Service kube-system/kube-dns.
	DNS dns `json:"dns"`
	// Admission bounds the webhooks.
	Admission admissionLimits `json:"admission"`
	// Access is about people and machines.
	Access accessSettings `json:"access"`
	// Registries lists the registries that need more than their name.
	Registries []registry.RegistryConfig `json:"registries"`
}

type issuer struct {
	// Kind is ClusterIssuer or Issuer; Namespace is that of an Issuer.
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

type dns struct {
	// Namespace and Service name the cluster's DNS Service.
	Namespace string `json:"namespace"`
	Service   string `json:"service"`
	// NodeLocal are the address blocks of a DNS cache on the nodes, such as 169.254.20.10/32.
	NodeLocal []netip.Prefix `json:"nodeLocal"`
}

type admissionLimits struct {
	// Wait is how long a request waits for the facts of images seen for the first time, 0s to 4s. Default 2s.
	Wait *metav1.Duration `json:"wait"`
}

// builtInExclusions are namespaces that a cluster needs to start from cold: network, storage, names, certificates, and what carries them.
var builtInExclusions = []string{
	"kube-system", "kube-public", "kube-node-lease", "cert-manager", "calico-system", "calico-apiserver", "tigera-operator", "cilium",
	"cilium-secrets", "rook-ceph", "longhorn-system", "openebs", "local-path-storage", "metallb-system", "flux-system", "argocd",
}

const (
	defaultWait = 2 * time.Second
	maxWait     = 4 * time.Second
)

var trustDomainPattern = regexp.MustCompile(`^[a-z0-9._-]{1,255}$`)

// readConfiguration reads a file strictly: a key that is not known is an error, as it is a setting that somebody believes in. An empty path gives the defaults.
func readConfiguration(path string) (*configuration, error) {
	config := &configuration{}
	if path != "" {
		content, err := os.ReadFile(path) //nolint:gosec // the path is the platform team's own flag
		if err != nil {
			return nil, fmt.Errorf("read the configuration file: %w", err)
		}
		if err := yaml.UnmarshalStrict(content, config); err != nil {
			return nil, fmt.Errorf("configuration file %s: %w", path, err)
		}
	}
	config.setDefaults()
	if err := config.validate(); err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	return config, nil
}

func (c *configuration) setDefaults() {
	if c.TrustDomain == "" {
		c.TrustDomain = "cluster.local"
	}
	if c.ClusterDomain == "" {
		c.ClusterDomain = "cluster.local"
	}
	if c.GitOpsNamespaces == nil {
		c.GitOpsNamespaces = []string{"flux-system", "argocd"}
	}
	if c.DNS.Namespace == "" {
		c.DNS.Namespace = "kube-system"
	}
	if c.DNS.Service == "" {
		c.DNS.Service = "kube-dns"
	}
	if c.Admission.Wait == nil {
		c.Admission.Wait = &metav1.Duration{Duration: defaultWait}
	}
}

func (c *configuration) validate() error {
	if !trustDomainPattern.MatchString(c.TrustDomain) {
		return fmt.Errorf("trustDomain %q: write lower-case letters, digits, '.', '-' and '_', such as lab.example (SPIFFE-ID, 2.1)", c.TrustDomain)
	}
	if wait := c.Admission.Wait.Duration; wait < 0 || wait > maxWait {
		return fmt.Errorf("admission.wait %s: write 0s to %s; the API server waits 5s for the whole answer", wait, maxWait)
	}
	if err := c.validateIssuers(); err != nil {
		return err
	}
	if err := c.validateTrust(); err != nil {
		return err
	}
	if err := c.Access.validate(); err != nil {
		return err
	}
	if problems := validation.IsDNS1123Subdomain(c.ClusterDomain); len(problems) > 0 {
		return fmt.Errorf("clusterDomain %q: write a domain, such as cluster.local", c.ClusterDomain)
	}
	if len(validation.IsDNS1123Label(c.DNS.Namespace)) > 0 || len(validation.IsDNS1035Label(c.DNS.Service)) > 0 {
		return fmt.Errorf("dns: %q is no name of a Service, written as namespace and service", c.DNS.Namespace+"/"+c.DNS.Service)
	}
	for i, block := range c.DNS.NodeLocal {
		if !block.IsValid() {
			return fmt.Errorf("dns.nodeLocal[%d]: write a block of addresses, such as 169.254.20.10/32", i)
		}
	}
	for _, name := range slices.Concat(c.ExcludedNamespaces, c.GitOpsNamespaces) {
		if problems := validation.IsDNS1123Label(name); len(problems) > 0 {
			return fmt.Errorf("excludedNamespaces, gitOpsNamespaces: %q is no name of a namespace", name)
		}
	}
	return nil
}

// isServiceAccount says whether a user name is that of one ServiceAccount.
func isServiceAccount(user string) bool {
	account, found := strings.CutPrefix(user, "system:serviceaccount:")
	namespace, name, _ := strings.Cut(account, ":")
	return found && len(validation.IsDNS1123Label(namespace)) == 0 && len(validation.IsDNS1123Subdomain(name)) == 0
}

func (c *configuration) validateIssuers() error {
	for i, one := range c.Issuers {
		switch {
		case one.Kind != "ClusterIssuer" && one.Kind != "Issuer":
			return fmt.Errorf("issuers[%d].kind %q: write ClusterIssuer or Issuer", i, one.Kind)
		case one.Name == "":
			return fmt.Errorf("issuers[%d].name is empty: name the issuer", i)
		case (one.Kind == "Issuer") != (one.Namespace != ""):
			return fmt.Errorf("issuers[%d].namespace: an Issuer has one, a ClusterIssuer has none", i)
		}
	}
	if c.CertManagerUser != "" && !isServiceAccount(c.CertManagerUser) {
		return fmt.Errorf("certManagerUser %q: write the ServiceAccount of cert-manager's controller, such as %s", c.CertManagerUser, injection.DefaultCertManagerUser)
	}
	return nil
}

// excluded are the namespaces in which the gate never stands: the built-in ones, those of the configuration, labguard's own, and that of
// the DNS Service.
func (c *configuration) excluded(own string) []string {
	names := slices.Concat(builtInExclusions, c.ExcludedNamespaces, c.GitOpsNamespaces, []string{own, c.DNS.Namespace})
	slices.Sort(names)
	return slices.Compact(names)
}
