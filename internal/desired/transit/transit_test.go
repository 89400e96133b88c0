// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package transit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
)

func TestAServerLetsInWhomTheSpecNames(t *testing.T) {
	vendor := v1alpha1.IngressPeer{External: &v1alpha1.ExternalPeer{
		CIDRs: []v1alpha1.CIDR{"10.20.0.0/16"}, Identities: []string{"spiffe://lab.example/ns/pathology/labworkload/lis", "spiffe://vendor.example/analyzer/*"}, Authority: "vendor",
		Certificates: []v1alpha1.ExternalCertificate{{SHA256: strings.Repeat("a", 64)}},
	}}
	unknown := v1alpha1.IngressPeer{External: &v1alpha1.ExternalPeer{CIDRs: []v1alpha1.CIDR{"10.21.0.0/16"}, Identities: []string{"spiffe://other.example/x"}}}
	lis := sidecar("pathology", "lis", port("mllp", 2575, fromLabWorkload("", "engine"), fromLabWorkload("chemistry", "gw"), vendor, unknown))
	facts := factsOf(lis, sidecar("pathology", "engine"), sidecar("chemistry", "gw"))
	result := transit.Build(facts)
	made := documentOf(t, result)
	want := []config.Peer{
		{Fingerprint: strings.Repeat("a", 64), Authority: "vendor", CIDRs: []string{"10.20.0.0/16"}},
		{Pattern: "spiffe://vendor.example/analyzer/*", Authority: "vendor", CIDRs: []string{"10.20.0.0/16"}},
		{ID: "spiffe://lab.example/ns/pathology/labworkload/engine"},
	}
	if len(made.Ports) != 1 || made.Ports[0].ListenPort != 15100 || !slices.EqualFunc(made.Ports[0].Peers, want, func(a, b config.Peer) bool {
		return a.ID == b.ID && a.Pattern == b.Pattern && a.Fingerprint == b.Fingerprint && a.Authority == b.Authority && slices.Equal(a.CIDRs, b.CIDRs)
	}) {
		t.Errorf("ports %+v, want the peers %+v: gw has not named lis, so it is none", made.Ports, want)
	}
	if !slices.Equal(result.Notes.Refused, []string{"spiffe://lab.example/ns/pathology/labworkload/lis"}) || !slices.Equal(result.Notes.Unknown, []string{"trust domain other.example"}) {
		t.Errorf("notes %+v, want the identity of our own domain refused and the other domain unknown", result.Notes)
	}
	facts.SourceLost = map[int32]bool{2575: true}
	for _, peer := range documentOf(t, transit.Build(facts)).Ports[0].Peers {
		if len(peer.CIDRs) > 0 {
			t.Errorf("peer %+v has address blocks although a Service hides the addresses", peer)
		}
	}
}

func TestAnAuthorityVouchesForWhatThePlatformTeamLets(t *testing.T) {
	peer := v1alpha1.IngressPeer{External: &v1alpha1.ExternalPeer{
		CIDRs: []v1alpha1.CIDR{"10.20.0.0/16"}, Authority: "vendor",
		Identities:   []string{"spiffe://vendor.example/analyzer/cobas", "spiffe://vendor.example/*/cobas", "spiffe://vendor.example/analyzer/a/b", "spiffe://vendor.example/admin"},
		Certificates: []v1alpha1.ExternalCertificate{{DNSName: "cobas-1.vendor.example"}, {DNSName: "cobas-2.vendor.example"}, {SHA256: strings.Repeat("b", 64)}},
	}}
	result := transit.Build(factsOf(sidecar("pathology", "lis", port("mllp", 2575, peer))))
	var allowed []string
	for _, one := range documentOf(t, result).Ports[0].Peers {
		allowed = append(allowed, one.Pattern+one.DNSName+one.Fingerprint)
	}
	slices.Sort(allowed)
	if want := []string{"cobas-1.vendor.example", "spiffe://vendor.example/analyzer/cobas"}; !slices.Equal(allowed, want) {
		t.Errorf("lets in %q, want %q", allowed, want)
	}
	if len(result.Notes.Refused) != 5 {
		t.Errorf("refused %q", result.Notes.Refused)
	}
}

func TestPlaintextIsDeclaredUntilItsEnd(t *testing.T) {
	until := &v1alpha1.PlaintextException{Reason: "has no TLS", Expires: metav1.NewTime(now.AddDate(0, 0, 1))}
	scraper := v1alpha1.IngressPeer{Pods: &v1alpha1.PodPeer{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "scraper"}}}, Plaintext: until}
	analyzer := v1alpha1.IngressPeer{External: &v1alpha1.ExternalPeer{CIDRs: []v1alpha1.CIDR{"10.20.1.0/24"}}, Plaintext: until}
	facts := factsOf(sidecar("pathology", "lis", port("mllp", 2575, scraper, analyzer)))
	for i := range 300 {
		facts.World = append(facts.World, transit.WorldPod{Namespace: "pathology", Labels: map[string]string{"app": "scraper"}, IPs: []netip.Addr{netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})}})
	}
	facts.World = append(facts.World, transit.WorldPod{Namespace: "elsewhere", Labels: map[string]string{"app": "scraper"}, IPs: []netip.Addr{netip.MustParseAddr("10.9.9.9")}})
	blocks := documentOf(t, transit.Build(facts)).Ports[0].PlaintextPeers
	if len(blocks) != 256 || !slices.Contains(blocks, "10.20.1.0/24") || !slices.Contains(blocks, "10.1.0.0/32") || slices.Contains(blocks, "10.9.9.9/32") {
		t.Errorf("%d blocks, want the analyzers and as many pods of the namespace as there is room for: %v", len(blocks), blocks)
	}
	facts.Now = now.AddDate(0, 0, 2)
	if blocks := documentOf(t, transit.Build(facts)).Ports[0].PlaintextPeers; len(blocks) > 0 {
		t.Errorf("after its end the exception still has %v", blocks)
	}
}

func TestAClientReachesAnUpstreamThroughAirlock(t *testing.T) {
	facts, server := lab(t, nil)
	result := transit.Build(facts)
	upstream := config.Upstream{
		Name: "pathology/lis:2575", Listen: "127.0.64.1:2575", Secure: "10.96.0.21:2575", Plain: "10.96.0.20:2575", ID: "spiffe://lab.example/ns/pathology/labworkload/lis",
		MinTLSVersion: "1.3", Fallback: true,
	}
	got := documentOf(t, result)
	if len(got.Upstreams) != 1 || got.Upstreams[0].Name != upstream.Name || got.Upstreams[0].Listen != upstream.Listen || got.Upstreams[0].Secure != upstream.Secure ||
		got.Upstreams[0].Plain != upstream.Plain || got.Upstreams[0].ID != upstream.ID || !got.Upstreams[0].Fallback {
		t.Errorf("upstreams %+v, want %+v", got.Upstreams, upstream)
	}
	aliases := result.Profile.Current.HostAliases
	if len(aliases) != 1 || aliases[0].IP != "127.0.64.1" || !slices.Equal(aliases[0].Hostnames, []string{"lis", "lis.pathology", "lis.pathology.svc", "lis.pathology.svc.cluster.local"}) {
		t.Errorf("aliases %+v", aliases)
	}
	if since, known := got.RevokedBefore[upstream.ID]; !known || !since.Before(server.CreationTimestamp.Time) {
		t.Errorf("revoked before %v, want a little before the sidecar of the upstream came to be", got.RevokedBefore)
	}
	server.Spec.Stage = v1alpha1.TransitStageStrict
	if strict := documentOf(t, transit.Build(facts)); strict.Upstreams[0].Fallback {
		t.Error("a strict upstream has a fallback to plaintext")
	}
}

// A certificate is refused only if it is older than its LabWorkload and its sidecar, by more than issuers set the beginning of certificates back.
func TestOnlyCertificatesOfAnEarlierLabWorkloadAreRevoked(t *testing.T) {
	facts, server := lab(t, nil)
	lis, id := facts.Peers[types.NamespacedName{Namespace: "pathology", Name: "lis"}], "spiffe://lab.example/ns/pathology/labworkload/lis"
	tests := map[string]struct {
		workload, profile time.Time
		want              time.Time
	}{
		"both are new":                          {now, now, now},
		"the sidecar came back":                 {now.Add(-240 * time.Hour), now, now.Add(-240 * time.Hour)},
		"it was applied anew under living pods": {now, now.Add(-240 * time.Hour), now.Add(-240 * time.Hour)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			lis.CreationTimestamp, server.CreationTimestamp = metav1.NewTime(test.workload), metav1.NewTime(test.profile)
			before := documentOf(t, transit.Build(facts)).RevokedBefore[id]
			// An hour is what issuers set the beginning of a certificate back at most.
			if !before.Before(test.want.Add(-time.Hour)) || before.Before(test.want.Add(-2*time.Hour)) {
				t.Errorf("revoked before %s, want a little more than an hour before %s", before, test.want)
			}
		})
	}
}

// An identity is allowed while its LabWorkload exists, whoever has a key of it.
func TestAnIdentityWithoutALabWorkloadIsNotAllowed(t *testing.T) {
	lis, engine := sidecar("pathology", "lis", port("mllp", 2575, fromLabWorkload("", "engine"))), sidecar("pathology", "engine")
	facts := factsOf(lis, engine)
	facts.Stage = v1alpha1.TransitStageStrict
	facts.Profiles[key(engine)] = profileOf(engine, v1alpha1.AirlockProfileSpec{LabWorkload: "engine", Workload: "engine"})
	if peers := documentOf(t, transit.Build(facts)).Ports[0].Peers; len(peers) != 1 || peers[0].ID != "spiffe://lab.example/ns/pathology/labworkload/engine" {
		t.Fatalf("peers %+v, want the engine", peers)
	}
	facts.Peers = desired.NewPeers(lis) // its profile and its pods live on
	if peers := documentOf(t, transit.Build(facts)).Ports[0].Peers; len(peers) > 0 {
		t.Errorf("peers %+v, want none: the LabWorkload is gone", peers)
	}
	deleted := metav1.NewTime(now)
	engine.DeletionTimestamp = &deleted
	facts.Peers = desired.NewPeers(lis, engine)
	if peers := documentOf(t, transit.Build(facts)).Ports[0].Peers; len(peers) > 0 {
		t.Errorf("peers %+v, want none: the LabWorkload is on its way out", peers)
	}
}

// Two Services often lead to one port, as one of the cluster and one of a load balancer do. airlock takes no document in which a name is there twice.
func TestTwoServicesMayLeadToOnePort(t *testing.T) {
	facts, _ := lab(t, nil)
	facts.Services = append(facts.Services, service("pathology", "lis-lb", "lis", "10.96.0.30", 2575, intstr.FromInt32(2575)), companion("pathology", "lis-lb", "lis", "10.96.0.31", 2575))
	upstreams := documentOf(t, transit.Build(facts)).Upstreams
	if len(upstreams) != 2 || upstreams[0].Name == upstreams[1].Name || upstreams[0].Listen == upstreams[1].Listen {
		t.Errorf("upstreams %+v, want one for each Service", upstreams)
	}
}

func TestAirlockNeverTakesAPortThatThePodsServe(t *testing.T) {
	facts, _ := lab(t, nil)
	facts.Pods[0].Ports = []corev1.ContainerPort{{ContainerPort: 2575}}
	result := transit.Build(facts)
	if !slices.Equal(result.Notes.Conflicts, []string{"pathology/lis:2575"}) || len(result.Profile.Current.HostAliases) > 0 || len(documentOf(t, result).Upstreams) > 0 {
		t.Errorf("conflicts %v, aliases %v: want the upstream named and left alone", result.Notes.Conflicts, result.Profile.Current.HostAliases)
	}
	spec := facts.Workload.Spec.Encryption.InTransit
	spec.Upstreams = []v1alpha1.UpstreamSettings{{LabWorkload: v1alpha1.LabWorkloadReference{Name: "lis"}, LocalPort: 12575}}
	result = transit.Build(facts)
	if upstreams := documentOf(t, result).Upstreams; len(result.Notes.Conflicts) > 0 || len(upstreams) != 1 || upstreams[0].Listen != "127.0.64.1:12575" || upstreams[0].Secure != "10.96.0.21:2575" {
		t.Errorf("with localPort: conflicts %v, upstreams %+v", result.Notes.Conflicts, upstreams)
	}
	spec.Upstreams, spec.ClientPath = nil, v1alpha1.ClientPathRedirect
	result = transit.Build(facts)
	if !slices.Equal(result.Profile.Current.Redirect, []string{"10.96.0.20:2575"}) || len(result.Profile.Current.HostAliases) > 0 || len(result.Notes.Conflicts) > 0 {
		t.Errorf("with Redirect: %+v, notes %+v", result.Profile.Current, result.Notes)
	}
	if upstreams := documentOf(t, result).Upstreams; len(upstreams) != 1 || !slices.Equal(upstreams[0].Destinations, []string{"10.96.0.20:2575"}) || upstreams[0].Listen != "" {
		t.Errorf("with Redirect: upstreams %+v", upstreams)
	}
	for _, level := range []string{"baseline", "restricted"} {
		facts.Namespaces["pathology"] = map[string]string{"pod-security.kubernetes.io/enforce": level}
		if result = transit.Build(facts); !result.Notes.RedirectForbidden || len(result.Profile.Current.Redirect) > 0 {
			t.Errorf("level %s: notes %+v, rules %v: a pod with them would be refused", level, result.Notes, result.Profile.Current.Redirect)
		}
	}
}

func TestAHeadlessUpstreamIsLeftAlone(t *testing.T) {
	facts, _ := lab(t, func(of *corev1.Service) { of.Spec.ClusterIP = corev1.ClusterIPNone })
	result := transit.Build(facts)
	if !slices.Equal(result.Notes.Headless, []string{"pathology/lis"}) || len(result.Profile.Current.HostAliases) > 0 {
		t.Errorf("headless %v, aliases %v", result.Notes.Headless, result.Profile.Current.HostAliases)
	}
	facts.Services = append(facts.Services, service("pathology", "lis-all", "lis", "10.96.0.30", 2575, intstr.FromInt32(2575)), companion("pathology", "lis-all", "lis", "10.96.0.31", 2575))
	if result = transit.Build(facts); len(result.Notes.Headless) > 0 || len(result.Profile.Current.HostAliases) != 1 {
		t.Errorf("beside one with an address: headless %v, aliases %v", result.Notes.Headless, result.Profile.Current.HostAliases)
	}
}

// A namespace "com" with a Service "google" must not turn google.com of somebody else's pods to itself.
func TestNamesThatWouldHideSomethingAreLeftOut(t *testing.T) {
	google := sidecar("com", "google", port("https", 443, fromLabWorkload("pathology", "engine")))
	engine := sidecar("pathology", "engine")
	facts := factsOf(engine, google)
	facts.Profiles[key(google)] = profileOf(google, v1alpha1.AirlockProfileSpec{
		Selector: google.Spec.Selector.DeepCopy(), Ports: []v1alpha1.AllocatedPort{{Port: 443, SidecarPort: 15100}}, LabWorkload: "google",
	})
	facts.Services = []corev1.Service{service("com", "google", "google", "10.96.0.20", 443, intstr.FromInt32(443)), companion("com", "google", "google", "10.96.0.21", 443)}
	if result := transit.Build(facts); len(result.Profile.Current.HostAliases) > 0 {
		t.Fatalf("one side's word opened %v across namespaces", result.Profile.Current.HostAliases)
	}
	engine.Spec.Network = &v1alpha1.NetworkSpec{Egress: []v1alpha1.EgressPeer{{LabWorkload: &v1alpha1.LabWorkloadReference{Namespace: "com", Name: "google"}}}}
	facts.Pods[0].HostNames = []string{"google.com.svc"}
	result := transit.Build(facts)
	if aliases := result.Profile.Current.HostAliases; len(aliases) != 1 || !slices.Equal(aliases[0].Hostnames, []string{"google.com.svc.cluster.local"}) {
		t.Errorf("aliases %+v, want neither the public name, nor one of the pods' own, nor a bare name", aliases)
	}
	if !slices.Equal(result.Notes.Names, []string{"google.com", "google.com.svc"}) {
		t.Errorf("names that were left out: %v", result.Notes.Names)
	}
}

func TestACompanionStandsBesideEachServiceThatLeadsToADeclaredPort(t *testing.T) {
	lis := sidecar("pathology", "lis", port("mllp", 2575), port("https", 8443))
	facts := factsOf(lis)
	facts.Pods[0].Ports = []corev1.ContainerPort{{Name: "hl7", ContainerPort: 2575}}
	long := strings.Repeat("s", 63)
	external := service("pathology", "external", "lis", "", 2575, intstr.FromInt32(2575))
	external.Spec.Type = corev1.ServiceTypeExternalName
	unselective := service("pathology", "unselective", "lis", "10.96.0.9", 2575, intstr.FromInt32(2575))
	unselective.Spec.Selector = nil
	facts.Services = []corev1.Service{
		service("pathology", "lis", "lis", "10.96.0.1", 12575, intstr.FromString("hl7")), service("pathology", long, "lis", "10.96.0.2", 8443, intstr.IntOrString{}),
		service("pathology", "other", "other", "10.96.0.3", 2575, intstr.FromInt32(2575)), service("pathology", "undeclared", "lis", "10.96.0.4", 80, intstr.FromInt32(80)), external, unselective,
	}
	companions := transit.Build(facts).Companions
	if len(companions) != 2 || companions[0].Name != "lis-mtls" || companions[0].Ports[0] != (transit.CompanionPort{Port: 12575, Sidecar: 15100, Declared: 2575}) ||
		companions[1].Of != long || len(companions[1].Name) > 63 || companions[1].Ports[0].Sidecar != 15101 {
		t.Fatalf("companions %+v", companions)
	}
	applied := companions[0].Apply(lis, profileOf(lis, v1alpha1.AirlockProfileSpec{}))
	if applied.Spec.Selector[v1alpha1.WorkloadLabel] != "lis" || applied.Spec.Selector["app"] != "lis" || applied.Spec.Ports[0].TargetPort.IntVal != 15100 {
		t.Errorf("applied %+v", applied.Spec)
	}
	// With every pod gone for a moment, a port by name leads where it did.
	facts.Pods[0].Ports = nil
	facts.Services = append(facts.Services, companion("pathology", "lis", "lis", "10.96.0.5", 12575))
	if again := transit.Build(facts).Companions; len(again) != 2 || again[0].Name != "lis-mtls" || again[0].Ports[0].Sidecar != 15100 {
		t.Errorf("companions without a pod %+v", again)
	}
	// The companion of another workload, whose port of the same number has the same port of the sidecar, is none of ours.
	facts.Services = append(facts.Services, companion("pathology", "other", "other", "10.96.0.6", 2575))
	if again := transit.Build(facts).Companions; len(again) != 2 {
		t.Errorf("companions beside that of another workload %+v", again)
	}
}

func TestWhatPodsKnowNeverChanges(t *testing.T) {
	lis := sidecar("pathology", "lis", port("https", 8443), port("mllp", 2575))
	facts := factsOf(lis)
	facts.Pods[0].Ports = []corev1.ContainerPort{{ContainerPort: 15101}}
	first := transit.Build(facts).Profile
	if want := []v1alpha1.AllocatedPort{{Port: 2575, SidecarPort: 15100}, {Port: 8443, SidecarPort: 15102}}; !slices.Equal(first.Ports, want) {
		t.Fatalf("ports %+v, want %+v: the pods use 15101", first.Ports, want)
	}
	lis.Spec.Encryption.InTransit.Ports = []v1alpha1.TransitPort{port("dicom", 104), port("https", 8443)}
	facts.Previous = profileOf(lis, first)
	second := transit.Build(facts).Profile
	if want := []v1alpha1.AllocatedPort{{Port: 104, SidecarPort: 15103}, {Port: 2575, SidecarPort: 15100}, {Port: 8443, SidecarPort: 15102}}; !slices.Equal(second.Ports, want) {
		t.Errorf("ports %+v, want %+v", second.Ports, want)
	}
	if second.Current.Secret != first.Current.Secret {
		t.Errorf("Secret %s has become %s", first.Current.Secret, second.Current.Secret)
	}
	lis.Spec.Encryption.InTransit.Ports = append(lis.Spec.Encryption.InTransit.Ports, port("late", 15102))
	if third := transit.Build(facts); third.Profile.Ports[2] == second.Ports[2] {
		t.Errorf("ports %+v: the application took the port of the sidecar", third.Profile.Ports)
	} else {
		documentOf(t, third)
	}
	reborn := lis.DeepCopy()
	reborn.UID = "another"
	if name := transit.SecretName(reborn, nil, ""); name == first.Current.Secret {
		t.Errorf("a LabWorkload that came back under the name of an earlier one takes over its Secret %s", name)
	}
	one, other := transit.SecretName(lis, nil, "one"), transit.SecretName(lis, nil, "other")
	if one == other || one == transit.SecretName(lis, nil, "") {
		t.Errorf("the name %s of a new Secret is known from the LabWorkload alone", one)
	}
	returned := lis.DeepCopy()
	returned.Generation++
	if name := transit.SecretName(returned, nil, "one"); name == one {
		t.Errorf("a LabWorkload that came back to its stage takes over the Secret %s of before", name)
	}
	if kept := transit.SecretName(returned, facts.Previous, "other"); kept != first.Current.Secret {
		t.Errorf("Secret %s has become %s with another salt", first.Current.Secret, kept)
	}
}

func TestRunningPodsKeepTheirUpstreams(t *testing.T) {
	facts, server := lab(t, nil)
	built := transit.Build(facts)
	first, before := built.Profile, documentOf(t, built)
	facts.Previous = profileOf(facts.Workload, first)
	facts.Pods = append(facts.Pods, transit.Pod{Pod: facts.Pods[0].Pod, Injected: true, Revision: first.Current.Hash})
	lis := facts.Peers[key(sidecar("pathology", "lis"))]
	delete(facts.Peers, key(lis))
	server.Spec = transit.Leaving(server.Spec)
	result := transit.Build(facts)
	if len(result.Profile.Current.HostAliases) > 0 {
		t.Errorf("pods that start now get names of an upstream that nobody declares: %+v", result.Profile.Current.HostAliases)
	}
	if upstreams := documentOf(t, result).Upstreams; len(upstreams) != 1 || upstreams[0].Listen != "127.0.64.1:2575" || upstreams[0].Secure != "10.96.0.21:2575" || !upstreams[0].Fallback {
		t.Errorf("upstreams %+v: running pods still have names for it", upstreams)
	} else if upstreams[0].Name != before.Upstreams[0].Name {
		t.Errorf("upstream %s is now %s, which ends its connections", before.Upstreams[0].Name, upstreams[0].Name)
	}
	if len(result.Profile.Known) != 1 || result.Profile.Known[0].Hash != first.Current.Hash {
		t.Errorf("known revisions %+v", result.Profile.Known)
	}
	spec := facts.Workload.Spec.Encryption.InTransit
	spec.Upstreams = []v1alpha1.UpstreamSettings{{LabWorkload: v1alpha1.LabWorkloadReference{Name: "lis"}, LocalPort: 12575}}
	if upstreams := documentOf(t, transit.Build(facts)).Upstreams; len(upstreams) != 1 || upstreams[0].Listen != "127.0.64.1:12575" {
		t.Errorf("upstreams %+v: the application was pointed at another port", upstreams)
	}
	facts.Pods = facts.Pods[:1]
	if result = transit.Build(facts); len(documentOf(t, result).Upstreams) > 0 || len(result.Profile.Upstreams) > 0 {
		t.Errorf("with no such pod left: %+v", result.Profile.Upstreams)
	}
}

func TestPodsOfAnEarlierRevisionNeedARestartWhereTheyLackSomething(t *testing.T) {
	facts, _ := lab(t, nil)
	with := transit.Build(facts).Profile.Current
	without := with
	without.HostAliases = nil
	newer := with
	newer.Image = "registry.example/airlock@sha256:11"
	for name, test := range map[string]struct {
		old  *v1alpha1.AirlockRevision
		want bool
	}{"the same": {&with, false}, "another image": {&newer, false}, "no names": {&without, true}, "unknown": {nil, true}} {
		if got := transit.NeedsRestart(test.old, &with); got != test.want {
			t.Errorf("%s: needs a restart: %t", name, got)
		}
	}
	if transit.NeedsRestart(&with, &without) {
		t.Error("an upstream less needs no restart")
	}
}

// Two LabWorkloads that go together: the pods of the client must not insist on sidecars that the new pods of the server do not have.
func TestWhoHasLeftFallsBackWhereTheUpstreamHasLeftToo(t *testing.T) {
	document := []byte(`{"version": 1, "upstreams": [{"id": "spiffe://lab.example/ns/a/labworkload/strict"}, {"id": "spiffe://lab.example/ns/a/labworkload/gone"}]}`)
	relaxed, err := transit.Relaxed(document, func(id string) (bool, error) { return strings.HasSuffix(id, "/strict"), nil })
	var made config.Configuration
	if err := errors.Join(err, json.Unmarshal(relaxed, &made)); err != nil || made.Upstreams[0].Fallback || !made.Upstreams[1].Fallback {
		t.Errorf("%v; %+v", err, made.Upstreams)
	}
	if _, err := transit.Relaxed(document, func(string) (bool, error) { return false, errors.New("no answer") }); err == nil {
		t.Error("an error is taken for an answer")
	}
}

func TestLeavingPodsKeepTheirSidecarAndNewOnesGetNone(t *testing.T) {
	lis := sidecar("pathology", "lis", port("mllp", 2575))
	facts := factsOf(lis)
	facts.Stage = v1alpha1.TransitStageStrict
	strict := transit.Build(facts)
	if strict.Profile.Selector == nil || documentOf(t, strict).Ports[0].Stage != config.Strict {
		t.Fatalf("at Strict %+v", strict.Profile)
	}
	facts.Written = false
	if early := transit.Build(facts); early.Profile.Selector != nil {
		t.Error("pods get a sidecar before its document is there")
	}
	facts.Previous, facts.Leaving, facts.Stage = profileOf(lis, strict.Profile), true, v1alpha1.TransitStageObserve
	leaving := transit.Build(facts)
	if leaving.Profile.Selector != nil || leaving.Profile.Stage != v1alpha1.TransitStagePermissive || leaving.Profile.Current.Hash != strict.Profile.Current.Hash ||
		documentOf(t, leaving).Ports[0].Stage != config.Permissive || leaving.Profile.Ports[0].SidecarPort != 15100 {
		t.Errorf("leaving %+v", leaving.Profile)
	}
	relaxed, err := transit.Relaxed(strict.Document, func(string) (bool, error) { return true, nil })
	if err != nil || !bytes.Equal(relaxed, leaving.Document) {
		t.Errorf("%v; relaxed %s, want %s", err, relaxed, leaving.Document)
	}
}

func TestTheOrderOfFactsMakesNoDifference(t *testing.T) {
	facts, _ := lab(t, nil)
	facts.Services = append(facts.Services, service("pathology", "lis2", "lis", "10.96.0.40", 2575, intstr.FromInt32(2575)), companion("pathology", "lis2", "lis", "10.96.0.41", 2575))
	facts.Pods = append(facts.Pods, transit.Pod{Pod: desired.Pod{Labels: map[string]string{"app": "engine", "v": "2"}}, Probes: []int32{8080, 80}})
	want := transit.Build(facts)
	for range 50 {
		rand.Shuffle(len(facts.Services), func(i, j int) { facts.Services[i], facts.Services[j] = facts.Services[j], facts.Services[i] })
		rand.Shuffle(len(facts.Pods), func(i, j int) { facts.Pods[i], facts.Pods[j] = facts.Pods[j], facts.Pods[i] })
		if got := transit.Build(facts); !bytes.Equal(got.Document, want.Document) || got.Profile.Current.Hash != want.Profile.Current.Hash {
			t.Fatalf("the same facts in another order give\n%s\nand before\n%s", got.Document, want.Document)
		}
	}
}
