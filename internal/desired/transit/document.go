// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package transit

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired"
)

// backdated is by how much an issuer may set the beginning of a certificate back. Some do so for clocks that are slow: Active Directory's by ten minutes, that
// of AWS by an hour. What begins earlier than this before its sidecar is refused, and a refusal never falls back to plaintext.
const backdated = 65 * time.Minute

// OperatorID is the SPIFFE ID of labguard itself. It may read reports and is in no list of peers.
func OperatorID(trustDomain string) string { return desired.OperatorID(trustDomain) }

// document is what airlock reads, in a form of its own: the same facts give the same bytes.
func document(facts Facts, allocated []v1alpha1.AllocatedPort, client half, notes *Notes) []byte {
	lw, transit := facts.Workload, desired.Sidecar(facts.Workload)
	own := map[int32]int32{}
	for _, port := range allocated {
		own[port.Port] = port.SidecarPort
	}
	made := config.Configuration{
		Version: config.Version, TrustDomain: facts.Platform.TrustDomain, Identity: desired.SPIFFEID(lw, facts.Platform.TrustDomain),
		Operator: OperatorID(facts.Platform.TrustDomain), ClientPath: client.path, Upstreams: client.upstreams, RevokedBefore: revocations(facts, client),
		MaxConnections: maxConnections(transit), MaxConnectionAge: seconds(transit.MaxConnectionAge), ProbePorts: probePorts(facts),
	}
	for _, port := range declared(lw) {
		stage := config.Permissive
		if facts.Stage == v1alpha1.TransitStageStrict && !facts.Leaving {
			stage = config.Strict
		}
		made.Ports = append(made.Ports, config.Port{
			Name: port.Name, Port: int(port.Port), ListenPort: int(own[port.Port]), Stage: stage, MinTLSVersion: cmp.Or(port.MinTLSVersion, "1.3"),
			Peers: peers(facts, port, notes), PlaintextPeers: plaintextPeers(facts, port),
		})
	}
	return encode(made)
}

// Check says why airlock would refuse a document.
func Check(document []byte) error {
	if _, err := config.Parse(document); err != nil {
		return fmt.Errorf("check the configuration of a sidecar: %w", err)
	}
	return nil
}

func encode(made config.Configuration) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", " ")
	if err := encoder.Encode(made); err != nil {
		return nil // a time beyond the year 9999, which no object has: nothing is written then
	}
	return text.Bytes()
}

func seconds(age v1alpha1.ImageDuration) int64 {
	parsed, err := time.ParseDuration(string(age))
	if err != nil {
		return 0
	}
	return int64(parsed / time.Second)
}

func probePorts(facts Facts) []int {
	var ports []int
	for _, pod := range facts.Pods {
		for _, port := range pod.Probes {
			ports = append(ports, int(port))
		}
	}
	slices.Sort(ports)
	ports = slices.Compact(ports)
	return ports[:min(len(ports), config.MaxProbePorts)]
}

// peers are who may connect to a port.
func peers(facts Facts, port v1alpha1.TransitPort, notes *Notes) []config.Peer {
	var allowed []config.Peer
	for _, client := range facts.Peers {
		if slices.Contains(desired.AgreedPorts(client, facts.Workload), port.Port) {
			allowed = append(allowed, config.Peer{ID: desired.SPIFFEID(client, facts.Platform.TrustDomain)})
		}
	}
	for _, peer := range port.AllowFrom {
		if peer.External != nil {
			allowed = append(allowed, externalPeers(facts, peer.External, facts.SourceLost[port.Port], notes)...)
		}
	}
	slices.SortFunc(allowed, comparePeers)
	allowed = slices.CompactFunc(allowed, func(a, b config.Peer) bool { return comparePeers(a, b) == 0 })
	return allowed[:min(len(allowed), config.MaxPeers)]
}

func comparePeers(a, b config.Peer) int {
	return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Pattern, b.Pattern), cmp.Compare(a.Fingerprint, b.Fingerprint), cmp.Compare(a.DNSName, b.DNSName),
		cmp.Compare(a.Authority, b.Authority), slices.Compare(a.CIDRs, b.CIDRs))
}

// externalPeers are the certificates of external peers. An identity of the cluster's own trust domain is none of theirs. Where a Service hides their addresses,
// the certificate alone decides.
func externalPeers(facts Facts, external *v1alpha1.ExternalPeer, sourceLost bool, notes *Notes) []config.Peer {
	authority := func(b Bundle) bool { return b.Authority == external.Authority }
	if external.Authority != "" && !slices.ContainsFunc(facts.Platform.Bundles, authority) {
		notes.Unknown = append(notes.Unknown, "external authority "+external.Authority)
		return nil
	}
	var cidrs []string
	if !sourceLost {
		for _, cidr := range external.CIDRs {
			cidrs = append(cidrs, string(cidr))
		}
		slices.Sort(cidrs)
	}
	return append(identityPeers(facts, external, cidrs, notes), certificatePeers(facts, external, cidrs, notes)...)
}

// identityPeers are the peers that an external entry names by their SPIFFE ID.
func identityPeers(facts Facts, external *v1alpha1.ExternalPeer, cidrs []string, notes *Notes) []config.Peer {
	knows := func(matches func(Bundle) bool) bool { return slices.ContainsFunc(facts.Platform.Bundles, matches) }
	var made []config.Peer
	for _, identity := range external.Identities {
		id, err := url.Parse(identity)
		switch {
		case err != nil || id.Host == facts.Platform.TrustDomain:
			notes.Refused = append(notes.Refused, identity)
		case external.Authority == "" && !knows(func(b Bundle) bool { return b.TrustDomain == id.Host }):
			notes.Unknown = append(notes.Unknown, "trust domain "+id.Host)
		case external.Authority != "" && !knows(func(b Bundle) bool { return b.Authority == external.Authority && b.vouchesFor(identity) }):
			notes.Refused = append(notes.Refused, identity)
		default:
			made = append(made, config.Peer{Pattern: identity, Authority: external.Authority, CIDRs: cidrs})
		}
	}
	return made
}

// certificatePeers are the peers that an external entry names by their certificate.
func certificatePeers(facts Facts, external *v1alpha1.ExternalPeer, cidrs []string, notes *Notes) []config.Peer {
	var made []config.Peer
	for _, certificate := range external.Certificates {
		named := func(b Bundle) bool { return b.Authority == external.Authority && b.names(certificate) }
		switch {
		case external.Authority == "":
		case !slices.ContainsFunc(facts.Platform.Bundles, named):
			notes.Refused = append(notes.Refused, cmp.Or(certificate.DNSName, certificate.SHA256))
		default:
			made = append(made, config.Peer{Fingerprint: certificate.SHA256, DNSName: certificate.DNSName, Authority: external.Authority, CIDRs: cidrs})
		}
	}
	return made
}

// plaintextPeers are the address blocks of peers that have an exception for plaintext, those that the spec names before those of pods.
func plaintextPeers(facts Facts, port v1alpha1.TransitPort) []string {
	var blocks, ofPods []string
	for _, peer := range port.AllowFrom {
		if !desired.PlaintextOpen(peer, facts.Now) {
			continue
		}
		if peer.External != nil {
			for _, cidr := range peer.External.CIDRs {
				blocks = append(blocks, string(cidr))
			}
		}
		if peer.Pods != nil {
			ofPods = append(ofPods, podBlocks(facts, peer.Pods)...)
		}
	}
	slices.Sort(blocks)
	slices.Sort(ofPods)
	blocks = append(slices.Compact(blocks), slices.Compact(ofPods)...)
	return blocks[:min(len(blocks), config.MaxBlocks)]
}

func podBlocks(facts Facts, peer *v1alpha1.PodPeer) []string {
	var blocks []string
	for _, pod := range facts.World {
		if !Means(peer, facts.Workload.Namespace, pod, facts.Namespaces) {
			continue
		}
		for _, ip := range pod.IPs {
			ip = ip.Unmap()
			blocks = append(blocks, netip.PrefixFrom(ip, ip.BitLen()).String())
		}
	}
	return blocks
}

// Means says whether a peer that is given by labels is a pod, from the point of view of a namespace.
func Means(peer *v1alpha1.PodPeer, from string, pod WorldPod, namespaces map[string]map[string]string) bool {
	if peer.NamespaceSelector == nil && pod.Namespace != from {
		return false
	}
	if peer.NamespaceSelector != nil {
		of := labels.Set{corev1.LabelMetadataName: pod.Namespace}
		if known := namespaces[pod.Namespace]; known != nil {
			of = known
		}
		if !selects(peer.NamespaceSelector, of) {
			return false
		}
	}
	return peer.PodSelector == nil || selects(peer.PodSelector, pod.Labels)
}

func selects(by *metav1.LabelSelector, set labels.Set) bool {
	selector, err := metav1.LabelSelectorAsSelector(by)
	return err == nil && selector.Matches(set)
}

// revocations refuse certificates of a name that were made before both the LabWorkload of that name and its sidecar: a LabWorkload that comes back under the
// name of an earlier one is another one. One that is applied anew while its pods still have the sidecar keeps their certificate, and so does one whose sidecar
// comes back: its Secret is still there, and cert-manager issues nothing while that is good.
func revocations(facts Facts, client half) map[string]time.Time {
	relevant := map[string]bool{}
	for _, upstream := range client.upstreams {
		relevant[upstream.ID] = true
	}
	revoked := map[string]time.Time{}
	for name, profile := range facts.Profiles {
		peer := &v1alpha1.LabWorkload{}
		peer.Namespace, peer.Name = name.Namespace, name.Name
		id := desired.SPIFFEID(peer, facts.Platform.TrustDomain)
		known := facts.Peers[name]
		if !relevant[id] && (known == nil || len(desired.AgreedPorts(known, facts.Workload)) == 0) {
			continue
		}
		if before := RevokedBefore(known, profile); !before.IsZero() {
			revoked[id] = before
		}
	}
	if len(revoked) == 0 {
		return nil
	}
	return revoked
}

// RevokedBefore is the beginning of certificates below which those of a LabWorkload with a sidecar are refused. lw is nil if it is gone.
func RevokedBefore(lw *v1alpha1.LabWorkload, profile *v1alpha1.AirlockProfile) time.Time {
	since := profile.CreationTimestamp
	if lw != nil && !lw.CreationTimestamp.IsZero() && lw.CreationTimestamp.Before(&since) {
		since = lw.CreationTimestamp
	}
	if since.IsZero() {
		return time.Time{}
	}
	return since.Add(-backdated).UTC()
}

// Sync is the value that changes whenever something that is mounted into the pods does: the document, a bundle, or the certificate.
func Sync(document []byte, platform Platform, certificate string) string {
	all := slices.Clone(platform.Bundles)
	slices.SortFunc(all, func(a, b Bundle) int { return cmp.Compare(a.path(), b.path()) })
	text := fmt.Appendf(nil, "%s\n%s\n", document, certificate)
	for _, bundle := range all {
		text = fmt.Appendf(text, "%s %s\n", bundle.path(), bundle.Digest)
	}
	return shortHash(text)
}
