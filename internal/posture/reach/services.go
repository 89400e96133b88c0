// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"cmp"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/labguard/labguard/api/v1alpha1"
)

const (
	scrapeAnnotation     = "prometheus.io/scrape"
	scrapePortAnnotation = "prometheus.io/port"
)

// servicePort is one port of a Service and where it leads on one pod.
type servicePort struct {
	spec   corev1.ServicePort
	target port
}

// String is the port of the Service, and the target if it is another number.
func (s servicePort) String() string {
	number := strconv.Itoa(int(s.spec.Port))
	if s.spec.Port == s.target.number() {
		return s.target.String()
	}
	return number + " (port " + s.target.String() + " of the pods)"
}

// ports are those of the Service that lead to a pod, none if it does not select it.
func (l lead) ports(pod *Pod) []servicePort {
	if !l.selector.Matches(labels.Set(pod.Labels)) {
		return nil
	}
	var found []servicePort
	for _, spec := range l.service.Spec.Ports {
		protocol := cmp.Or(spec.Protocol, corev1.ProtocolTCP)
		target, ok := portOf(protocol, cmp.Or(spec.TargetPort.IntVal, spec.Port))
		if spec.TargetPort.Type == intstr.String && spec.TargetPort.StrVal != "" {
			target, ok = pod.named(portName{protocol, spec.TargetPort.StrVal})
		}
		if ok {
			found = append(found, servicePort{spec, target})
		}
	}
	return found
}

// seenOutside says whether addresses outside of the cluster reach the Service by itself.
func seenOutside(service *corev1.Service) bool {
	return service.Spec.Type == corev1.ServiceTypeNodePort || service.Spec.Type == corev1.ServiceTypeLoadBalancer || len(service.Spec.ExternalIPs) > 0
}

// services names the Services whose ports would be open to nobody, or to nobody outside of the cluster who is meant to come in.
func (p *paths) services(lines map[string]bool) {
	for _, l := range p.leads {
		for _, side := range p.governed {
			for _, s := range l.ports(side.pod) {
				switch {
				case p.closes(side, s.target, anybody):
					lines["Service "+l.service.Name+": nobody could reach its port "+s.String()+" any more"] = true
				case seenOutside(l.service) && p.closes(side, s.target, outsiders):
					lines["Service "+l.service.Name+": addresses outside of the cluster could no longer reach its port "+s.String()] = true
				}
			}
		}
	}
}

// closes says whether a port had a rule that the filter takes, or was not closed, and would not have one.
func (p *paths) closes(side *class, at port, counts func(*policy, *rule) bool) bool {
	return p.before.openTo(side.pod, counts).has(at) && !p.after.openTo(side.pod, counts).has(at)
}

// ingresses names the Ingresses that lead to a port which only LabWorkloads could reach.
func (p *paths) ingresses(lines map[string]bool) {
	allowed := p.specPorts(func(peer v1alpha1.IngressPeer) bool { return peer.Pods != nil || peer.External != nil })
	for i := range p.preview.Ingresses {
		ingress := &p.preview.Ingresses[i]
		if ingress.Namespace != p.namespace {
			continue
		}
		for _, backend := range backends(ingress) {
			for _, l := range p.leads {
				if l.service.Name != backend.Name {
					continue
				}
				for _, side := range p.governed {
					for _, s := range l.ports(side.pod) {
						if isBackend(backend.Port, s.spec) && p.closesButFor(side, s.target, allowed) {
							lines["Ingress "+ingress.Name+": its Service "+l.service.Name+" leads to port "+s.target.String()+
								" of these pods, which no pods peer and no external peer could reach"] = true
						}
					}
				}
			}
		}
	}
}

func backends(ingress *networkingv1.Ingress) []networkingv1.IngressServiceBackend {
	var found []networkingv1.IngressServiceBackend
	if d := ingress.Spec.DefaultBackend; d != nil && d.Service != nil {
		found = append(found, *d.Service)
	}
	for _, rule := range ingress.Spec.Rules {
		if rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			if path.Backend.Service != nil {
				found = append(found, *path.Backend.Service)
			}
		}
	}
	return found
}

func isBackend(backend networkingv1.ServiceBackendPort, spec corev1.ServicePort) bool {
	if backend.Name != "" {
		return backend.Name == spec.Name
	}
	return backend.Number == spec.Port
}

// closesButFor says whether a port was open to anybody and would be open to LabWorkloads at most. In the policy that would be, a peer
// that is a LabWorkload looks like one that is not; allowed are the ports to which the spec lets others in.
func (p *paths) closesButFor(side *class, at port, allowed set[port]) bool {
	if allowed.has(at) {
		return false
	}
	others := func(q *policy, r *rule) bool { return q.name != p.preview.Policy || r.everybody }
	return p.before.openTo(side.pod, anybody).has(at) && !p.after.openTo(side.pod, others).has(at)
}

// scrapes names the governed pods and the Services that Prometheus is asked to scrape and could not.
func (p *paths) scrapes(lines map[string]bool) {
	allowed := p.specPorts(func(peer v1alpha1.IngressPeer) bool { return peer.Pods != nil })
	for _, side := range p.governed {
		for _, at := range flatten(scrapePorts(side.pod.Annotations, side.pod.declared())) {
			if !p.closesButFor(side, at, allowed) {
				continue
			}
			for _, pod := range side.members {
				lines["Prometheus could no longer scrape port "+at.String()+" of pod "+pod.Name] = true
			}
		}
		for _, l := range p.leads {
			var declared set[port]
			for _, s := range l.ports(side.pod) {
				declared = declared.union(portSet(s.target))
			}
			if len(declared) == 0 {
				continue
			}
			for _, at := range flatten(scrapePorts(l.service.Annotations, declared)) {
				if p.closesButFor(side, at, allowed) {
					lines["Prometheus could no longer scrape port "+at.String()+" of the pods of Service "+l.service.Name] = true
				}
			}
		}
	}
}

// scrapePorts are what the annotations of Prometheus's common configuration for Kubernetes ask for: one port, else the declared TCP ports.
func scrapePorts(annotations map[string]string, declared set[port]) set[port] {
	if annotations[scrapeAnnotation] != "true" {
		return nil
	}
	if text := annotations[scrapePortAnnotation]; text != "" {
		number, err := strconv.ParseInt(text, 10, 32)
		if at, ok := portOf(corev1.ProtocolTCP, int32(number)); ok && err == nil {
			return portSet(at)
		}
		return nil
	}
	return declared.intersect(allOf(corev1.ProtocolTCP))
}
