// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/plugin/standing"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/reach"
)

func (w *Workload) say(list *[]Line, effect Effect, format string, values ...any) {
	*list = append(*list, Line{effect, fmt.Sprintf(format, values...)})
}

// network says what a NetworkPolicy would keep and cut.
func (p *planner) network(s *subject, open doors) {
	if s.withheld {
		s.leftOut(open)
	} else {
		p.kept(s, open)
	}
	p.lost(s)
	for _, line := range p.elsewhere(s) {
		s.say(&s.Network, Unknown, "%s", line)
	}
	if spec := s.Manifest.Spec.Network; spec == nil || spec.Egress == nil {
		s.say(&s.Network, Note, "what the pods connect to is not restricted: nothing says all of it, and network.egress is yours to write")
	}
	s.Network = tidy(s.Network)
}

// kept says whom the ports let in, and by which evidence.
func (p *planner) kept(s *subject, open doors) {
	var unknown []string
	for _, opened := range open.sorted() {
		for _, one := range opened.peers {
			why := strings.Join(one.why, "; ")
			switch missing := p.unagreed(s, one.allow, opened.number); {
			case one.declared:
			case s.enforced:
				s.say(&s.Network, Note, "left out: port %d for %s: %s. It would be open at once: write it if it is to be", opened.number, one.words, why)
			case missing != "":
				s.say(&s.Network, Cuts, "port %d for %s, until %s: %s", opened.number, one.words, missing, why)
			default:
				s.say(&s.Network, Keeps, "port %d for %s: %s", opened.number, one.words, why)
			}
		}
		if len(opened.peers) == 0 {
			unknown = append(unknown, strconv.Itoa(int(opened.number)))
		}
	}
	if len(unknown) > 0 {
		s.say(&s.Network, Unknown, "who connects to port %s: nobody is known to, and so nobody is let in", strings.Join(unknown, ", "))
	}
}

// unagreed says what a LabWorkload of another namespace has to declare before a port that names it is open to it: both sides have to agree there.
func (p *planner) unagreed(s *subject, allow v1alpha1.IngressPeer, number int32) string {
	if allow.LabWorkload == nil || allow.LabWorkload.Namespace == "" || allow.LabWorkload.Namespace == p.facts.Namespace {
		return ""
	}
	client := p.manifest(allow.LabWorkload)
	if client == nil || slices.Contains(desired.AgreedPorts(client, s.Manifest), number) {
		return ""
	}
	return fmt.Sprintf("it names %s/%s under network.egress", p.facts.Namespace, s.Name)
}

// leftOut says which ports are not written, and why.
func (s *subject) leftOut(open doors) {
	s.say(&s.Network, Unknown, "what ports would cut: none is written, because network.egress is enforced, and ports would be with it. Write them once nobody else connects")
	for _, opened := range open.sorted() {
		if len(opened.peers) == 0 {
			s.say(&s.Network, Note, "left out: port %d, and nobody is known to connect to it", opened.number)
		}
		for _, one := range opened.peers {
			s.say(&s.Network, Note, "left out: port %d for %s: %s", opened.number, one.words, strings.Join(one.why, "; "))
		}
	}
}

// lost says what would lose its path. Of a LabWorkload that there is labguard has said so itself.
func (p *planner) lost(s *subject) {
	if s.before == nil || !restrictsIngress(&s.before.Spec) {
		for _, line := range p.losesPath(s) {
			s.say(&s.Network, Cuts, "%s", line)
		}
	}
	switch {
	case s.before == nil || !posture.RestrictsNetwork(&s.before.Spec):
	case posture.EnforcementAt(&s.before.Spec, p.facts.Now).Network:
		s.say(&s.Network, Note, "enforced already, by NetworkPolicy %s: what it cuts is cut", desired.ChildName(s.Name))
	case s.before.Status.Preview == nil:
		s.say(&s.Network, Unknown, "what the spec as it is would cut: labguard has not said it yet")
	case standing.Outdated(s.before, p.facts.Now) != "":
		s.say(&s.Network, Unknown, "what the spec as it is would cut: %s", standing.Outdated(s.before, p.facts.Now))
	default:
		for _, line := range s.before.Status.Preview.LosesPath {
			s.say(&s.Network, Cuts, "by the spec as it is now, as labguard has found: %s", line)
		}
	}
	s.otherProtocols()
}

// otherProtocols are ports that no LabWorkload can open.
func (s *subject) otherProtocols() {
	if !restrictsIngress(&s.Manifest.Spec) {
		return
	}
	for _, template := range s.templates() {
		for _, port := range template.Ports {
			if port.Protocol == corev1.ProtocolUDP || port.Protocol == corev1.ProtocolSCTP {
				s.say(&s.Network, Cuts, "%s port %d: a LabWorkload opens TCP ports alone, and closes all others", port.Protocol, port.ContainerPort)
			}
		}
	}
}

// losesPath asks the function that labguard asks for its preview, about the manifest.
func (p *planner) losesPath(s *subject) []string {
	manifests := make([]*v1alpha1.LabWorkload, 0, len(p.subjects)+len(p.facts.Workloads))
	for i := range p.facts.Workloads {
		if p.facts.Workloads[i].Namespace != p.facts.Namespace {
			manifests = append(manifests, &p.facts.Workloads[i])
		}
	}
	for _, one := range p.subjects {
		manifests = append(manifests, one.Manifest)
	}
	asked := s.Manifest.DeepCopy()
	asked.Spec.Network = nil // where egress is given it was given before, and labguard has said what that cuts
	would, _ := desired.NetworkPolicy(asked, desired.NetworkFacts{
		Peers: desired.NewPeers(manifests...), Services: p.facts.Services, Pods: s.templates(), Now: p.facts.Now,
	})
	if would == nil {
		return nil
	}
	world := reach.World{Policies: p.facts.Policies, Namespaces: p.facts.Namespaces}
	for i := range p.facts.Pods {
		if pod := &p.facts.Pods[i]; !ended(pod) {
			world.Pods = append(world.Pods, worldPod(pod))
		}
	}
	if wider := reach.OpenedWider(world, reach.Query{Namespace: p.facts.Namespace, Ours: *would, Policy: desired.ChildName(s.Name)}).Policies(); len(wider) > 0 {
		s.say(&s.Network, Note, "policies add up, and NetworkPolicy %s opens more than this LabWorkload: NetworkIsolated is False until you narrow or remove it, or name it under network.accept", posture.List(wider))
	}
	return reach.LosesPath(world, reach.Preview{
		LabWorkload: asked, Would: *would, Policy: desired.ChildName(s.Name), Services: p.facts.Services, Ingresses: p.facts.Ingresses,
	})
}

func worldPod(pod *corev1.Pod) reach.Pod {
	seen := reach.Pod{Namespace: pod.Namespace, Name: pod.Name, Labels: pod.Labels, Annotations: pod.Annotations, IPs: addresses(pod), HostNetwork: pod.Spec.HostNetwork}
	for _, port := range containerPorts(&pod.Spec) {
		seen.Ports = append(seen.Ports, reach.Port{Name: port.Name, Protocol: port.Protocol, Number: port.ContainerPort})
	}
	return seen
}

// elsewhere says of Ingresses and scrapers that lead here that nobody knows where their pods are.
func (p *planner) elsewhere(s *subject) []string {
	var lines []string
	for _, service := range p.services() {
		if !slices.ContainsFunc(service.Spec.Ports, func(port corev1.ServicePort) bool { return len(p.targets(s, service, port)) > 0 }) {
			continue
		}
		for i := range p.facts.Ingresses {
			if ingress := &p.facts.Ingresses[i]; leadsTo(ingress, service.Name) {
				lines = append(lines, fmt.Sprintf("where the pods of the ingress controller are: Ingress %s leads here through Service %s; name them as pods", ingress.Name, service.Name))
			}
		}
		if scraped(service.Annotations) {
			lines = append(lines, fmt.Sprintf("who scrapes: Service %s has the annotation prometheus.io/scrape; name the pods of the scraper", service.Name))
		}
	}
	for _, pod := range s.pods {
		if scraped(pod.Annotations) {
			return append(lines, "who scrapes: the pods have the annotation prometheus.io/scrape; name the pods of the scraper")
		}
	}
	return lines
}

func scraped(annotations map[string]string) bool {
	return annotations["prometheus.io/scrape"] == "true"
}

func leadsTo(ingress *networkingv1.Ingress, service string) bool {
	backends := []*networkingv1.IngressBackend{ingress.Spec.DefaultBackend}
	for _, rule := range ingress.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for i := range rule.HTTP.Paths {
			backends = append(backends, &rule.HTTP.Paths[i].Backend)
		}
	}
	return slices.ContainsFunc(backends, func(backend *networkingv1.IngressBackend) bool {
		return backend != nil && backend.Service != nil && backend.Service.Name == service
	})
}

// manifest is a LabWorkload as it is to be.
func (p *planner) manifest(reference *v1alpha1.LabWorkloadReference) *v1alpha1.LabWorkload {
	if reference.Namespace == "" || reference.Namespace == p.facts.Namespace {
		for _, s := range p.subjects {
			if s.Name == reference.Name {
				return s.Manifest
			}
		}
		return nil
	}
	for i := range p.facts.Workloads {
		if lw := &p.facts.Workloads[i]; lw.Namespace == reference.Namespace && lw.Name == reference.Name {
			return lw
		}
	}
	return nil
}

// people says what labguard has found about logins and training.
func people(s *subject) {
	asks := map[string]bool{v1alpha1.ConditionMFAEnforced: s.Manifest.Spec.MFA != nil, v1alpha1.ConditionStaffTrained: s.Manifest.Spec.Training != nil}
	for _, requirement := range []string{v1alpha1.ConditionMFAEnforced, v1alpha1.ConditionStaffTrained} {
		if !asks[requirement] {
			continue
		}
		if s.before != nil {
			if found := meta.FindStatusCondition(s.before.Status.Conditions, requirement); found != nil {
				s.say(&s.People, Note, "%s is %s, %s: %s", requirement, found.Status, found.Reason, found.Message)
			}
		}
	}
	if len(s.People) > 0 {
		s.say(&s.People, Unknown, "whom Enforce would refuse: the claims of a login are seen when somebody acts, and are not kept")
	}
}

// tidy drops doubles, and puts what is cut first.
func tidy(lines []Line) []Line {
	var kept []Line
	seen := map[Line]bool{}
	for _, effect := range []Effect{Cuts, Stops, Unknown, Keeps, Note} {
		for _, line := range lines {
			if line.Effect == effect && !seen[line] {
				seen[line] = true
				kept = append(kept, line)
			}
		}
	}
	return kept
}
