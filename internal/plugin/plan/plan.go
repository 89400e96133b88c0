// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/posture"
)

// Of makes the plan of a namespace.
func Of(facts Facts) Plan {
	p := &planner{facts: &facts}
	p.arrange()
	opened := make([]doors, len(p.subjects))
	for i, s := range p.subjects {
		opened[i] = p.openings(s)
		for _, look := range []func(*subject, doors){p.seen, p.configured, p.allowed, p.declared, p.outside} {
			look(s, opened[i])
		}
		opened[i].nameAll()
		p.write(s, opened[i])
	}
	for _, s := range p.subjects {
		p.writeClient(s)
	}
	// What each would cut depends on what the others declare.
	plan := Plan{Namespace: facts.Namespace, Workloads: []Workload{}, Left: p.left}
	for i, s := range p.subjects {
		p.network(s, opened[i])
		p.transit(s)
		p.images(s)
		people(s)
		plan.Workloads = append(plan.Workloads, *s.Workload)
	}
	return plan
}

// The values of a LabWorkload that nobody has written yet. Both are commented as such.
const (
	usualMaxAge = "2160h"
	someIssuer  = "lab-ca"
)

// write puts into the manifest what there is evidence for. What is there stays as it is.
func (p *planner) write(s *subject, open doors) {
	spec := &s.Manifest.Spec
	p.writeTransit(s, open)
	if spec.Images == nil {
		spec.Images = &v1alpha1.ImagesSpec{MaxAge: usualMaxAge}
		if enforces(s) {
			spec.Images.Enforcement = v1alpha1.EnforcementAudit
		}
		s.comment("spec.images.maxAge", "a usual limit, which nobody has given: write yours")
	}
	if s.New {
		s.comment("spec.enforcement", "touches nothing; Enforce, once status says what you want")
	}
}

// enforces says whether something of what is there enforces now or will: then what is new may not begin with it.
func enforces(s *subject) bool {
	if s.before == nil {
		return false
	}
	spec := &s.before.Spec
	return spec.Enforcement == v1alpha1.EnforcementEnforce || spec.EnforceAfter != ""
}

func (p *planner) writeTransit(s *subject, open doors) {
	spec := &s.Manifest.Spec
	restricted := restrictsIngress(spec)
	if !restricted && wantsNetwork(spec) {
		s.withhold(open)
		return
	}
	if posture.Transit(spec) == nil {
		if !s.New && len(open) == 0 {
			return
		}
		p.writeSidecar(s)
	}
	transit := posture.Transit(spec)
	s.enforced = restricted && wantsNetwork(spec)
	for _, opened := range open.sorted() {
		switch {
		case restricted && !opened.declared && len(opened.peers) == 0: // it is closed now, and nothing says that somebody needs it
		case s.enforced:
			s.offer(opened)
		default:
			writePort(s, transit, opened)
		}
	}
	if !restricted && wantsNetwork(spec) {
		auditNetwork(s)
	}
}

// restrictsIngress says whether the NetworkPolicy of the spec closes ports.
func restrictsIngress(spec *v1alpha1.LabWorkloadSpec) bool {
	transit := posture.Transit(spec)
	return transit != nil && len(transit.Ports) > 0
}

// wantsNetwork says whether the NetworkPolicy is enforced, now or from some day on.
func wantsNetwork(spec *v1alpha1.LabWorkloadSpec) bool {
	atOnce := spec.DeepCopy()
	atOnce.EnforceAfter = ""
	enforced := posture.EnforcementAt(atOnce, time.Time{})
	return enforced.Network
}

// auditNetwork lets new ports audit. Nothing else of the network is restricted, so that nothing is loosened.
func auditNetwork(s *subject) {
	spec := &s.Manifest.Spec
	if spec.Network == nil {
		spec.Network = &v1alpha1.NetworkSpec{}
	}
	how := "remove this line to enforce"
	if spec.Network.Enforcement != "" {
		how = "it was Enforce, which had nothing to close yet: write Enforce again to enforce"
	}
	spec.Network.Enforcement = v1alpha1.EnforcementAudit
	s.comment("spec.network.enforcement", "the ports are new here: labguard first says what they would cut; "+how)
}

// withhold says which ports there are to write and writes none: one enforcement is for both directions of a NetworkPolicy, and with the first port it closes
// all others at once.
func (s *subject) withhold(open doors) {
	if len(open) == 0 {
		return
	}
	s.withheld = true
	s.comment("spec.network", "ports are left out: network.egress is enforced, here or from a day on, and ports would be enforced with it. What is known of them:")
	for _, opened := range open.sorted() {
		words := make([]string, 0, len(opened.peers))
		for _, one := range opened.peers {
			words = append(words, one.words)
		}
		who := "nobody is known to connect"
		if len(words) > 0 {
			who = "for " + posture.List(words)
		}
		s.comment("spec.network", fmt.Sprintf("port %d (%s): %s", opened.number, opened.name, who))
	}
}

// offer tells in comments who else is known to need a port of those that are enforced: whoever may make a pod anywhere can say that it connects, and what is
// pasted would let it in at once.
func (s *subject) offer(opened *door) {
	for _, one := range opened.peers {
		if !one.declared {
			s.comment("spec.encryption.inTransit.ports", fmt.Sprintf("left out, as it would be open at once: port %d (%s) for %s: %s", opened.number, opened.name, one.words, strings.Join(one.why, "; ")))
		}
	}
}

// writeSidecar asks for mutual TLS where nobody has.
func (p *planner) writeSidecar(s *subject) {
	issuer, why := p.issuer()
	transit := &v1alpha1.InTransitSpec{Provider: v1alpha1.TransitProviderSidecar, IssuerRef: issuer}
	s.Manifest.Spec.Encryption = &v1alpha1.EncryptionSpec{InTransit: transit}
	s.comment("spec.encryption.inTransit.issuerRef", why)
	if enforces(s) {
		transit.Enforcement = v1alpha1.EnforcementAudit
		s.comment("spec.encryption.inTransit", "new: it audits until you remove enforcement: Audit")
	}
}

// writeClient asks for mutual TLS where a LabWorkload calls one that asks for it.
func (p *planner) writeClient(s *subject) {
	if posture.Transit(&s.Manifest.Spec) != nil {
		return
	}
	own := v1alpha1.IngressPeer{LabWorkload: &v1alpha1.LabWorkloadReference{Name: s.Name}}
	for _, server := range p.subjects {
		if desired.Sidecar(server.Manifest) == nil {
			continue
		}
		for _, port := range desired.Sidecar(server.Manifest).Ports {
			if slices.ContainsFunc(port.AllowFrom, func(allowed v1alpha1.IngressPeer) bool {
				return key(allowed, p.facts.Namespace) == key(own, p.facts.Namespace)
			}) {
				p.writeSidecar(s)
				s.comment("spec.encryption.inTransit", fmt.Sprintf("LabWorkload %s lets it in at port %d, over mutual TLS", server.Name, port.Port))
				return
			}
		}
	}
}

// maxPorts and maxPeers are how many a LabWorkload may have.
const maxPorts, maxPeers = 32, 64

// writePort adds a port, or its missing peers.
func writePort(s *subject, transit *v1alpha1.InTransitSpec, opened *door) {
	at := slices.IndexFunc(transit.Ports, func(port v1alpha1.TransitPort) bool { return port.Port == opened.number })
	if at < 0 {
		if len(transit.Ports) == maxPorts {
			s.Network = append(s.Network, Line{Cuts, fmt.Sprintf("port %d: a LabWorkload has at most %d ports", opened.number, maxPorts)})
			return
		}
		at = len(transit.Ports)
		transit.Ports = append(transit.Ports, v1alpha1.TransitPort{Name: opened.name, Port: opened.number})
	}
	port := &transit.Ports[at]
	path := fmt.Sprintf("spec.encryption.inTransit.ports[%d]", at)
	if !opened.declared {
		for _, why := range opened.why {
			s.comment(path, why)
		}
		if len(opened.peers) == 0 {
			s.comment(path, "nobody is known to connect, and so nobody is let in: name who does")
		}
	}
	for _, one := range opened.peers {
		if one.declared {
			continue
		}
		if len(port.AllowFrom) == maxPeers {
			s.Network = append(s.Network, Line{Cuts, fmt.Sprintf("%s at port %d: a port has at most %d peers", one.words, opened.number, maxPeers)})
			continue
		}
		for _, why := range one.why {
			s.comment(fmt.Sprintf("%s.allowFrom[%d]", path, len(port.AllowFrom)), why)
		}
		port.AllowFrom = append(port.AllowFrom, one.allow)
	}
}

// issuer is the one that LabWorkloads name already, those of the namespace first.
func (p *planner) issuer() (issuer v1alpha1.IssuerReference, why string) {
	var from *v1alpha1.LabWorkload
	for i := range p.facts.Workloads {
		lw := &p.facts.Workloads[i]
		own := lw.Namespace == p.facts.Namespace
		if posture.Transit(&lw.Spec) == nil || !own && posture.Transit(&lw.Spec).IssuerRef.Kind == v1alpha1.IssuerKindIssuer {
			continue
		}
		if from == nil || own && from.Namespace != p.facts.Namespace {
			from = lw
		}
	}
	if from == nil {
		return v1alpha1.IssuerReference{Kind: v1alpha1.IssuerKindClusterIssuer, Name: someIssuer}, "not known: name one that the platform team lists in labguard's configuration"
	}
	return posture.Transit(&from.Spec).IssuerRef, fmt.Sprintf("that of LabWorkload %s/%s", from.Namespace, from.Name)
}
