// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/plugin/standing"
	"github.com/labguard/labguard/internal/posture"
)

// transit says what Strict would cut, and what is missing before labguard enters it.
func (p *planner) transit(s *subject) {
	spec := posture.Transit(&s.Manifest.Spec)
	if spec == nil {
		s.say(&s.Transit, Note, "the LabWorkload has no encryption.inTransit, and nothing says that these pods serve, or call, one that has")
		return
	}
	if spec.Provider != v1alpha1.TransitProviderSidecar {
		s.say(&s.Transit, Note, "the application terminates TLS itself (provider %s): Strict is a stage of provider Sidecar", spec.Provider)
		return
	}
	inForce := s.before != nil && s.before.Status.Transit != nil && s.before.Status.Transit.Stage == v1alpha1.TransitStageStrict
	if inForce {
		s.say(&s.Transit, Note, "Strict is in force: what it cuts is cut")
	}
	p.peersAtStrict(s, spec)
	switch {
	case inForce:
	case s.before == nil || s.before.Status.Transit == nil:
		s.say(&s.Transit, Unknown, "who speaks plaintext: labguard sees it once airlock is in the pods, at stage Permissive")
	default:
		if why := standing.Outdated(s.before, p.facts.Now); why != "" {
			s.say(&s.Transit, Unknown, "whether this is all: %s", why)
		}
		for _, blocker := range s.before.Status.Transit.Blockers {
			if strangers.MatchString(blocker) {
				s.say(&s.Transit, Cuts, "%s", blocker)
			} else {
				s.say(&s.Transit, Note, "before Strict: %s", blocker)
			}
		}
	}
	s.Transit = tidy(s.Transit)
}

// peersAtStrict are the declared peers that could not come in.
func (p *planner) peersAtStrict(s *subject, spec *v1alpha1.InTransitSpec) {
	for _, port := range spec.Ports {
		for _, allowed := range port.AllowFrom {
			if why := p.inPlaintext(allowed); why != "" {
				s.say(&s.Transit, Cuts, "%s at port %d: %s", peerWords(allowed), port.Port, why)
			}
			if desired.PlaintextOpen(allowed, p.facts.Now) {
				s.say(&s.Transit, Note, "%s at port %d: plaintext is open until %s: %s", peerWords(allowed), port.Port, allowed.Plaintext.Expires.UTC().Format("2006-01-02"), allowed.Plaintext.Reason)
			}
		}
	}
}

// inPlaintext says why a peer could not speak mutual TLS; "" if it could, or has an exception.
func (p *planner) inPlaintext(allowed v1alpha1.IngressPeer) string {
	switch {
	case desired.PlaintextOpen(allowed, p.facts.Now):
		return ""
	case allowed.Pods != nil:
		return "they have no identity: give them a LabWorkload, or a plaintext exception with a reason and an end"
	case allowed.External != nil && len(allowed.External.Identities)+len(allowed.External.Certificates) == 0:
		return "nothing says which certificate it shows: name identities or certificates, or a plaintext exception with a reason and an end"
	case allowed.LabWorkload != nil:
		client := p.manifest(allowed.LabWorkload)
		switch {
		case client == nil:
			return "there is no such LabWorkload, or you may not read it"
		case desired.Sidecar(client) == nil:
			return "it has no encryption.inTransit with provider Sidecar"
		}
	}
	return ""
}
