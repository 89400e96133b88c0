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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/plugin/gate"
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
	case p.outdated(s) != "":
		s.say(&s.Network, Unknown, "what the spec as it is would cut: %s", p.outdated(s))
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

// outdated says why what labguard has found of a LabWorkload is not about it as it is now; "" if nothing speaks against it.
func (p *planner) outdated(s *subject) string {
	if s.before.Status.ObservedGeneration < s.before.Generation {
		return "labguard has not looked at the latest spec yet"
	}
	return standing.Outdated(s.before, p.facts.Now)
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
		if why := p.outdated(s); why != "" {
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

// images says what the gate would answer under Enforce.
func (p *planner) images(s *subject) {
	asked := s.Manifest.DeepCopy()
	asked.Spec.Enforcement, asked.Spec.EnforceAfter, asked.Spec.Images.Enforcement = v1alpha1.EnforcementEnforce, "", ""
	if s.before != nil && s.before.Spec.Images != nil && posture.EnforcementAt(&s.before.Spec, p.facts.Now).Images {
		s.say(&s.Images, Note, "enforced already")
	}
	seen := p.facts.Gate
	seen.Workloads = []v1alpha1.LabWorkload{*asked}
	if s.before != nil {
		seen.Workloads[0].Status = s.before.Status
	}
	for _, root := range s.roots {
		if root.Gate.Root == nil {
			s.say(&s.Images, Unknown, "%s could not be read as the gate reads it", root.words())
			continue
		}
		explained, err := gate.Explain(&seen, root.Gate, nil, 0)
		if err != nil {
			s.say(&s.Images, Unknown, "%s: %s", root.words(), err)
			continue
		}
		for i := range explained.Images {
			s.image(root, &explained.Images[i], explained.AnewNow.Verdict)
		}
	}
	p.otherImages(s)
	s.Images = tidy(s.Images)
}

// otherImages are those of pods that something else makes, such as a Rollout or a person. The gate judges them, and labguard says what it would answer.
func (p *planner) otherImages(s *subject) {
	var others []string
	for _, pod := range s.pods {
		if slices.ContainsFunc(s.roots, func(root *Root) bool { return root.makes(pod) }) {
			continue
		}
		of := "pod " + pod.Name
		if metav1.GetControllerOfNoCopy(pod) != nil {
			of = "pods " + ownerWords(pod)
		}
		others = append(others, of)
	}
	switch {
	case len(others) == 0:
	case s.before != nil && s.before.Spec.Images != nil && s.before.Status.Preview != nil && p.outdated(s) == "":
		for _, refused := range s.before.Status.Preview.RefusedImages {
			s.say(&s.Images, Stops, "by the spec as it is now, as labguard has found: %s", refused)
		}
	default:
		for _, of := range others {
			s.say(&s.Images, Unknown, "the images of %s: nothing that is looked at here makes them, and labguard has not said what it would answer", of)
		}
	}
}

func (s *subject) image(root *Root, image *gate.Image, anew gate.Verdict) {
	switch image.Answer {
	case posture.ImageStale, posture.ImageTooYoung:
		answer := map[gate.Verdict]string{gate.Refuses: "is refused", gate.Holds: "is held", gate.Warns: "gets a warning", gate.RollsOut: "rolls out"}[anew]
		age := "too young"
		if image.Answer == posture.ImageStale {
			age = "stale"
		}
		s.say(&s.Images, Stops, "%s: %s is %s, made %s (%s); brought in anew it %s; what runs goes on and restarts",
			root.words(), image.Reference, age, image.Created.Format("2006-01-02"), image.Evidence, answer)
	case posture.ImageUnknown:
		s.say(&s.Images, Unknown, "%s: how old %s is (%s): onUnknownAge answers, %s", root.words(), image.Reference, image.Reason, posture.NewImageRequirement(s.Manifest.Spec.Images).OnUnknownAge)
	case "":
	default:
		line := fmt.Sprintf("%s: %s is %s", root.words(), image.Reference, strings.ToLower(image.Answer))
		if image.StaleAt != nil {
			line += ", stale from " + image.StaleAt.Format("2006-01-02") + " on"
		}
		s.say(&s.Images, Keeps, "%s", line)
	}
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
