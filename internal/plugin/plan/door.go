// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/posture"
)

// door is a TCP port of a subject, and who is known to need it.
type door struct {
	number int32
	name   string
	// declared says that the spec has it already.
	declared bool
	why      []string
	peers    []*peer
}

// peer is somebody who is known to need a port.
type peer struct {
	allow v1alpha1.IngressPeer
	words string
	// declared says that the spec has it already.
	declared bool
	why      []string
}

// doors finds the ports on which somebody seems to listen, by number.
type doors map[int32]*door

func (d doors) at(number int32, why string) *door {
	if d[number] == nil {
		d[number] = &door{number: number}
	}
	if found := d[number]; why != "" && !slices.Contains(found.why, why) {
		found.why = append(found.why, why)
	}
	return d[number]
}

func (d doors) sorted() []*door {
	return slices.SortedFunc(maps.Values(d), func(a, b *door) int { return cmp.Compare(a.number, b.number) })
}

// nameAll gives each port that the spec does not have a name that no other port has.
func (d doors) nameAll() {
	taken := map[string]bool{}
	for _, opened := range d {
		if opened.declared {
			taken[opened.name] = true
		}
	}
	for _, opened := range d.sorted() {
		if opened.declared {
			continue
		}
		if opened.name == "" || taken[opened.name] {
			opened.name = fmt.Sprintf("port-%d", opened.number)
		}
		for taken[opened.name] {
			opened.name += "-x"
		}
		taken[opened.name] = true
	}
}

// ownPorts are those of airlock, which are no ports of the application.
var ownPorts = []int32{15001, 15090, 15091}

// openings are the ports of a subject: those of its spec, of its containers, and those to which Services lead.
func (p *planner) openings(s *subject) doors {
	found := doors{}
	for _, port := range declaredPorts(s.before) {
		opened := found.at(port.Port, "")
		opened.name, opened.declared = port.Name, true
		for _, allowed := range port.AllowFrom {
			opened.peers = append(opened.peers, &peer{allow: allowed, words: peerWords(allowed), declared: true, why: []string{"the spec says so"}})
		}
	}
	p.listening(s, found)
	for _, own := range ownPorts {
		if found[own] != nil && !found[own].declared {
			delete(found, own)
		}
	}
	return found
}

// listening adds the ports of containers, and those to which Services lead.
func (p *planner) listening(s *subject, found doors) {
	for _, template := range s.templates() {
		for _, port := range template.Ports {
			if port.Protocol == "" || port.Protocol == corev1.ProtocolTCP {
				opened := found.at(port.ContainerPort, "a port of the container")
				opened.name = cmp.Or(opened.name, portName(port.Name))
			}
		}
	}
	for _, service := range p.services() {
		for _, port := range service.Spec.Ports {
			for _, number := range p.targets(s, service, port) {
				opened := found.at(number, "Service "+service.Name+" leads to it")
				opened.name = cmp.Or(opened.name, portName(port.Name))
			}
		}
	}
}

func declaredPorts(lw *v1alpha1.LabWorkload) []v1alpha1.TransitPort {
	if lw == nil || posture.Transit(&lw.Spec) == nil {
		return nil
	}
	return posture.Transit(&lw.Spec).Ports
}

var portNames = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`)

func portName(name string) string {
	if portNames.MatchString(name) {
		return name
	}
	return ""
}

// services are those of the namespace that lead to pods and that labguard has not written.
func (p *planner) services() []*corev1.Service {
	var found []*corev1.Service
	for i := range p.facts.Services {
		service := &p.facts.Services[i]
		if service.Namespace == p.facts.Namespace && len(service.Spec.Selector) > 0 && service.Spec.Type != corev1.ServiceTypeExternalName && service.Labels[v1alpha1.ManagedByLabel] != v1alpha1.ManagedByValue {
			found = append(found, service)
		}
	}
	slices.SortFunc(found, func(a, b *corev1.Service) int { return cmp.Compare(a.Name, b.Name) })
	return found
}

// targets are the ports of a subject to which a port of a Service leads.
func (p *planner) targets(s *subject, service *corev1.Service, port corev1.ServicePort) []int32 {
	if port.Protocol != "" && port.Protocol != corev1.ProtocolTCP {
		return nil
	}
	return desired.Targets(service, port, s.templates())
}

// add notes that somebody needs a door. It is one entry, whatever shows it.
func (d *door) add(allow v1alpha1.IngressPeer, namespace, why string) {
	for _, known := range d.peers {
		if key(known.allow, namespace) == key(allow, namespace) {
			if !slices.Contains(known.why, why) {
				known.why = append(known.why, why)
			}
			return
		}
	}
	d.peers = append(d.peers, &peer{allow: allow, words: peerWords(allow), why: []string{why}})
}

// key is the same of two entries that name the same, whatever exceptions they have.
func key(of v1alpha1.IngressPeer, namespace string) string {
	of.Plaintext = nil
	if reference := of.LabWorkload; reference != nil && reference.Namespace == namespace {
		of.LabWorkload = &v1alpha1.LabWorkloadReference{Name: reference.Name}
	}
	text, err := json.Marshal(of)
	if err != nil {
		return ""
	}
	return string(text)
}

// peerWords name a peer for people.
func peerWords(peer v1alpha1.IngressPeer) string {
	switch {
	case peer.LabWorkload != nil && peer.LabWorkload.Namespace != "":
		return "LabWorkload " + peer.LabWorkload.Namespace + "/" + peer.LabWorkload.Name
	case peer.LabWorkload != nil:
		return "LabWorkload " + peer.LabWorkload.Name
	case peer.Pods != nil:
		return podsWords(peer.Pods)
	case peer.External != nil:
		var blocks []string
		for _, block := range peer.External.CIDRs {
			blocks = append(blocks, string(block))
		}
		return "external " + posture.List(blocks)
	default:
		return "nobody"
	}
}

func podsWords(pods *v1alpha1.PodPeer) string {
	text := "pods"
	if pods.PodSelector != nil && len(pods.PodSelector.MatchLabels)+len(pods.PodSelector.MatchExpressions) > 0 {
		text += " " + selectorWords(pods.PodSelector.MatchLabels, len(pods.PodSelector.MatchExpressions))
	}
	switch selector := pods.NamespaceSelector; {
	case selector == nil:
		return text + " of this namespace"
	case len(selector.MatchLabels)+len(selector.MatchExpressions) == 0:
		return text + " of all namespaces"
	case selector.MatchLabels[corev1.LabelMetadataName] != "" && len(selector.MatchLabels)+len(selector.MatchExpressions) == 1:
		return text + " of namespace " + selector.MatchLabels[corev1.LabelMetadataName]
	default:
		return text + " of namespaces " + selectorWords(selector.MatchLabels, len(selector.MatchExpressions))
	}
}

func selectorWords(of map[string]string, expressions int) string {
	words := make([]string, 0, len(of)+1)
	for _, name := range slices.Sorted(maps.Keys(of)) {
		words = append(words, name+"="+of[name])
	}
	if expressions > 0 {
		words = append(words, "...")
	}
	return strings.Join(words, ",")
}
