// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/reach"
)

// The numbers that generated policies draw from, with what is just beside them.
var (
	askedPorts     = []int32{1, 2, 3, 4, 5, 6, 40000, 65535}
	askedProtocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	drawnBlocks    = []networkingv1.NetworkPolicyPeer{
		block("10.0.0.0/29"), block("10.0.0.0/29", "10.0.0.4/31"), block("10.0.0.4/30"), block("10.0.0.2/32"), block("0.0.0.0/0"),
		block("0.0.0.0/0", "10.0.0.0/29"), block("fd00::/126"), block("fd00::/126", "fd00::2/128"), block("::/0"),
	}
)

func askedAddresses() []netip.Addr {
	var found []netip.Addr
	for i := range 10 {
		found = append(found, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}))
	}
	for _, text := range []string{"0.0.0.0", "9.255.255.255", "255.255.255.255", "::", "fcff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "fd00::", "fd00::1", "fd00::2", "fd00::3", "fd00::4", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
		found = append(found, netip.MustParseAddr(text))
	}
	return found
}

func drawSelector(t *rapid.T, key string) *metav1.LabelSelector {
	value := rapid.SampledFrom([]string{"a", "b", "c"})
	switch rapid.IntRange(0, 5).Draw(t, "selector") {
	case 0:
		return nil
	case 1:
		return &metav1.LabelSelector{}
	case 2:
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "role", Operator: rapid.SampledFrom([]metav1.LabelSelectorOperator{"Exists", "DoesNotExist"}).Draw(t, "operator")}}}
	case 3:
		return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: rapid.SampledFrom([]metav1.LabelSelectorOperator{"In", "NotIn"}).Draw(t, "operator"), Values: []string{value.Draw(t, "value"), "b"}}}}
	default:
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: value.Draw(t, "value")}}
	}
}

func drawPeers(t *rapid.T) []networkingv1.NetworkPolicyPeer {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) networkingv1.NetworkPolicyPeer {
		if rapid.Bool().Draw(t, "is a block") {
			return rapid.SampledFrom(drawnBlocks).Draw(t, "block")
		}
		p := networkingv1.NetworkPolicyPeer{PodSelector: drawSelector(t, "app"), NamespaceSelector: drawSelector(t, "team")}
		if p.PodSelector == nil && p.NamespaceSelector == nil {
			p.PodSelector = &metav1.LabelSelector{}
		}
		return p
	}), 0, 2).Draw(t, "peers")
}

func drawPorts(t *rapid.T) []networkingv1.NetworkPolicyPort {
	udp := corev1.ProtocolUDP
	return rapid.SliceOfN(rapid.SampledFrom([]networkingv1.NetworkPolicyPort{
		tcp(1), tcp(3), numbered("TCP", 2, 4), numbered("TCP", 1, 65535), numbered("UDP", 3, 0), {Protocol: &udp}, {}, named("http"), named("hl7"),
	}), 0, 2).Draw(t, "ports")
}

func drawSpec(t *rapid.T) networkingv1.NetworkPolicySpec {
	spec := networkingv1.NetworkPolicySpec{PolicyTypes: rapid.SampledFrom([][]networkingv1.PolicyType{{in}, {out}, {in, out}}).Draw(t, "types")}
	if s := drawSelector(t, "app"); s != nil {
		spec.PodSelector = *s
	}
	if slices.Contains(spec.PolicyTypes, in) {
		for range rapid.IntRange(0, 2).Draw(t, "ingress rules") {
			spec.Ingress = append(spec.Ingress, from(drawPeers(t), drawPorts(t)...))
		}
	}
	if slices.Contains(spec.PolicyTypes, out) {
		for range rapid.IntRange(0, 2).Draw(t, "egress rules") {
			spec.Egress = append(spec.Egress, to(drawPeers(t), drawPorts(t)...))
		}
	}
	return spec
}

func drawWorld(t *rapid.T) reach.World {
	w := reach.World{Namespaces: map[string]map[string]string{"pathology": {"team": "a"}, "web": {"team": "b", "role": "x"}}}
	for i := range rapid.IntRange(1, 5).Draw(t, "pods") {
		p := reach.Pod{
			Namespace: rapid.SampledFrom([]string{"pathology", "pathology", "web"}).Draw(t, "namespace"), Name: fmt.Sprint("p", i),
			Labels:      map[string]string{"app": rapid.SampledFrom([]string{"a", "b"}).Draw(t, "app")},
			HostNetwork: rapid.IntRange(0, 6).Draw(t, "host network") == 0,
			IPs: rapid.SampledFrom([][]netip.Addr{nil, {netip.MustParseAddr("10.0.0.2")}, {netip.MustParseAddr("10.0.0.5")}, {netip.MustParseAddr("fd00::2")},
				{netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("fd00::1")}}).Draw(t, "addresses"),
			// Three different ports in all: a line of LosesPath names no more.
			Ports: rapid.SampledFrom([][]reach.Port{nil, {listens("http", 3)}, {listens("http", 5), {Name: "hl7", Protocol: "UDP", Number: 3}}, {listens("hl7", 3), {Protocol: "UDP", Number: 3}}}).Draw(t, "ports"),
		}
		if rapid.Bool().Draw(t, "role") {
			p.Labels["role"] = "x"
		}
		w.Pods = append(w.Pods, p)
	}
	for i := range rapid.IntRange(0, 3).Draw(t, "policies") {
		w.Policies = append(w.Policies, policy(fmt.Sprint("q", i), drawSpec(t)))
	}
	return w
}

// example is one connection that a policy opens and ours does not, as the simulator sees it.
func (s simulator) example(theirs, ours *networkingv1.NetworkPolicySpec, direction networkingv1.PolicyType) string {
	for i := range s.world.Pods {
		g := &s.world.Pods[i]
		if g.Namespace != "pathology" || !selects(ours, g) || !selects(theirs, g) {
			continue
		}
		for _, protocol := range askedProtocols {
			for _, number := range askedPorts {
				for j := range s.world.Pods {
					x := &s.world.Pods[j]
					if i != j && !x.HostNetwork && s.opens(theirs, direction, g, endpoint{pod: x}, protocol, number, selectorsOnly) &&
						!s.opens(ours, direction, g, endpoint{pod: x}, protocol, number, all) {
						return fmt.Sprint(g.Name, " and pod ", x.Name, protocol, number)
					}
				}
				for _, ip := range askedAddresses() {
					if len(g.IPs) > 0 && !slices.ContainsFunc(g.IPs, func(mine netip.Addr) bool { return mine.Is4() == ip.Is4() }) {
						continue
					}
					if s.opens(theirs, direction, g, endpoint{ip: ip}, protocol, number, blocksOnly) && !s.opens(ours, direction, g, endpoint{ip: ip}, protocol, number, blocksOnly) {
						return fmt.Sprint(g.Name, " and address ", ip, protocol, number)
					}
				}
			}
		}
	}
	return ""
}

func TestOpenedWiderIsWhatASimulatorFindsOneConnectionAtATime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, ours := drawWorld(t), drawSpec(t)
		s := simulator{w}
		got := map[string]reach.Finding{}
		for _, f := range reach.OpenedWider(w, reach.Query{Namespace: "pathology", Ours: ours, Policy: "ours", Accepted: []string{"q2"}}).Findings {
			got[f.Policy+" "+string(f.Direction)] = f
		}
		for i := range w.Policies {
			theirs := &w.Policies[i]
			for _, direction := range []networkingv1.PolicyType{in, out} {
				want := ""
				if theirs.Name != "q2" && slices.Contains(ours.PolicyTypes, direction) && slices.Contains(theirs.Spec.PolicyTypes, direction) {
					want = s.example(&theirs.Spec, &ours, direction)
				}
				finding, found := got[theirs.Name+" "+string(direction)]
				if found != (want != "") {
					t.Fatalf("%s %s: the simulator finds %q, OpenedWider finds %q", theirs.Name, direction, want, finding.Text)
				}
				if found && !s.true(&theirs.Spec, &ours, finding) {
					t.Fatalf("the simulator does not find that %s", finding.Text)
				}
			}
		}
	})
}

// true says whether the example of a finding is one.
func (s simulator) true(theirs, ours *networkingv1.NetworkPolicySpec, f reach.Finding) bool {
	find := func(name string) *reach.Pod {
		i := slices.IndexFunc(s.world.Pods, func(p reach.Pod) bool { return p.Namespace+"/"+p.Name == name })
		if i < 0 {
			return nil
		}
		return &s.world.Pods[i]
	}
	other, counted := endpoint{pod: find(f.Peer)}, all
	if other.pod == nil {
		other.ip, counted = netip.MustParsePrefix(f.Peer).Addr(), blocksOnly
	}
	return s.opens(theirs, f.Direction, find(f.Pod), other, f.Protocol, f.Port, all) && !s.opens(ours, f.Direction, find(f.Pod), other, f.Protocol, f.Port, counted)
}

func TestLosesPathIsWhatASimulatorFindsOneConnectionAtATime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, would := drawWorld(t), drawSpec(t)
		s := simulator{w}
		after := append(slices.DeleteFunc(slices.Clone(w.Policies), func(p networkingv1.NetworkPolicy) bool { return p.Name == "q1" }), policy("q1", would))
		want := map[string]map[string]bool{}
		add := func(who, what string) {
			if want[who] == nil {
				want[who] = map[string]bool{}
			}
			want[who][what] = true
		}
		for i := range w.Pods {
			for j := range w.Pods {
				source, target := &w.Pods[i], &w.Pods[j]
				if i == j || source.Namespace != "pathology" || target.Namespace != "pathology" {
					continue
				}
				for _, p := range target.Ports {
					protocol := corev1.ProtocolTCP
					if p.Protocol != "" {
						protocol = p.Protocol
					}
					if !s.connect(w.Policies, source, target, protocol, p.Number) || s.connect(after, source, target, protocol, p.Number) {
						continue
					}
					at := fmt.Sprint(p.Number)
					if protocol != corev1.ProtocolTCP {
						at = fmt.Sprint(protocol, " ", p.Number)
					}
					if selects(&would, target) {
						add("pod "+source.Name+" could no longer reach", at)
					} else if selects(&would, source) {
						add("these pods could no longer reach of pod "+target.Name, at)
					}
				}
			}
		}
		got := map[string]map[string]bool{}
		for _, line := range reach.LosesPath(w, reach.Preview{LabWorkload: labWorkload(), Would: would, Policy: "q1"}) {
			who, rest, _ := strings.Cut(line, " port")
			what, ending, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(rest, "s")), " of ")
			if strings.HasPrefix(ending, "pod ") {
				who += " of " + ending
			}
			got[who] = map[string]bool{}
			for _, one := range strings.FieldsFunc(strings.ReplaceAll(what, " and ", ","), func(r rune) bool { return r == ',' }) {
				got[who][strings.TrimSpace(one)] = true
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

func labWorkload(ports ...v1alpha1.TransitPort) *v1alpha1.LabWorkload {
	lw := &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis"}}
	if len(ports) > 0 {
		lw.Spec.Encryption = &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{Ports: ports}}
	}
	return lw
}

func TestTheOrderOfTheWorldDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, ours := drawWorld(t), drawSpec(t)
		turned := reach.World{Pods: slices.Clone(w.Pods), Policies: slices.Clone(w.Policies), Namespaces: maps.Clone(w.Namespaces)}
		slices.Reverse(turned.Pods)
		slices.Reverse(turned.Policies)
		query := reach.Query{Namespace: "pathology", Ours: ours, Policy: "ours"}
		if diff := cmp.Diff(reach.OpenedWider(w, query), reach.OpenedWider(turned, query)); diff != "" {
			t.Fatal(diff)
		}
		preview := reach.Preview{LabWorkload: labWorkload(), Would: ours, Policy: "ours"}
		if diff := cmp.Diff(reach.LosesPath(w, preview), reach.LosesPath(turned, preview)); diff != "" {
			t.Fatal(diff)
		}
	})
}
