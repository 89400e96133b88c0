// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package transit

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired"
)

// ContainerName and RedirectContainerName are the names of the containers that labguard adds to pods.
const (
	ContainerName         = config.ContainerName
	RedirectContainerName = config.RedirectContainerName
)

// DocumentKey is the key of the document in its ConfigMap.
const DocumentKey = config.FileName

// HealthPort is where the kubelet asks airlock how it is.
const HealthPort = config.HealthPort

// Facts is what the sidecar of one LabWorkload depends on. The order of lists does not matter.
type Facts struct {
	// Workload has provider Sidecar.
	Workload *v1alpha1.LabWorkload
	// Stage is what is in force from now on. Leaving says that pods that start from now on get no sidecar: what exists stays as long as pods have it.
	Stage   v1alpha1.TransitStage
	Leaving bool
	// Written says that the document of the sidecar exists, so that pods may start with it.
	Written bool
	// Previous is the profile as it is, nil if there is none.
	Previous *v1alpha1.AirlockProfile
	// Platform is what the platform team says.
	Platform Platform
	// Peers are the LabWorkloads that this one names and those that name it, Profiles the profiles of those and of earlier upstreams that have one.
	Peers    desired.Peers
	Profiles map[types.NamespacedName]*v1alpha1.AirlockProfile
	// Services are those of the namespace and of the namespaces of upstreams.
	Services []corev1.Service
	// Pods are the governed pods and the templates that will make such.
	Pods []Pod
	// World are the live pods of the cluster as far as allowFrom may mean them, Namespaces the labels of namespaces.
	World      []WorldPod
	Namespaces map[string]map[string]string
	// SourceLost are the ports whose external peers a Service hides: their addresses say nothing.
	SourceLost map[int32]bool
	Now        time.Time
}

// Platform is what the platform team says about mutual TLS.
type Platform struct {
	TrustDomain, ClusterDomain string
	// Image is the image of airlock, by digest.
	Image string
	// Bundles are all trust bundles of the cluster.
	Bundles []Bundle
	// Salt is a secret text that keeps the names of new Secrets from being known beforehand.
	Salt string
}

// Bundle is a set of roots: of a trust domain, or of an external authority.
type Bundle struct {
	// TrustDomain or Authority is the name of what it vouches for.
	TrustDomain, Authority string
	// Name is the object that holds it, Digest the hash of its content.
	Name, Digest string
	// Identities (SPIFFE IDs in which "*" is one whole segment), DNSNames and Fingerprints are what an external authority may vouch for. None: nothing.
	Identities, DNSNames, Fingerprints []string
}

// vouchesFor says whether everything that a pattern stands for is allowed under the authority.
func (b Bundle) vouchesFor(pattern string) bool {
	wanted, err := config.ParsePattern(pattern)
	return err == nil && slices.ContainsFunc(b.Identities, func(allowed string) bool {
		parsed, err := config.ParsePattern(allowed)
		return err == nil && parsed.Matches(wanted)
	})
}

// names says whether a certificate without a SPIFFE ID is one of those that are allowed under the authority.
func (b Bundle) names(certificate v1alpha1.ExternalCertificate) bool {
	return certificate.DNSName != "" && slices.Contains(b.DNSNames, certificate.DNSName) ||
		certificate.SHA256 != "" && slices.Contains(b.Fingerprints, certificate.SHA256)
}

// Pod is a governed pod or pod template.
type Pod struct {
	desired.Pod
	// Probes are the ports that the kubelet probes.
	Probes []int32
	// HostNames are the names that its own hostAliases have.
	HostNames []string
	// Injected says that it is a pod with airlock, made from the revision with this hash.
	Injected bool
	Revision string
}

// WorldPod is a live pod of the cluster.
type WorldPod struct {
	Namespace string
	Labels    map[string]string
	IPs       []netip.Addr
}

// Result is what is to exist, and what cannot be as the spec says.
type Result struct {
	Profile    v1alpha1.AirlockProfileSpec
	Document   []byte
	Companions []Companion
	// Upstreams are the names of the upstreams of the document behind which a LabWorkload is, sorted.
	Upstreams []string
	Notes     Notes
}

// Notes are what cannot be as the spec says, each a line for a person.
type Notes struct {
	// Conflicts are upstreams whose port the pods themselves serve, Headless those that are reached by a headless Service.
	Conflicts, Headless []string
	// RedirectForbidden says that the namespace refuses what clientPath Redirect needs.
	RedirectForbidden bool
	// Unknown are external authorities and trust domains that labguard's configuration does not have, Refused identities that no external peer may have.
	Unknown, Refused []string
	// Names are names that were left out, since they would hide something else.
	Names []string
}

// Build builds everything.
func Build(facts Facts) Result {
	var result Result
	ports := allocatePorts(facts)
	client := clientHalf(facts, &result.Notes)
	result.Companions = companions(facts, ports)
	result.Profile = profile(facts, ports, client)
	result.Document = document(facts, ports, client, &result.Notes)
	for _, upstream := range client.upstreams {
		if !strings.HasPrefix(upstream.Name, PassedOn) {
			result.Upstreams = append(result.Upstreams, upstream.Name)
		}
	}
	slices.Sort(result.Upstreams)
	return result
}
