// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package transit

import (
	"cmp"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired"
)

// PassedOn begins the name of an upstream of which nothing is declared: a port of a Service whose names lead to airlock. It is passed on as it is.
const PassedOn = "as-it-is:"

// half is the client half.
type half struct {
	allocated []v1alpha1.AllocatedAddress
	aliases   []v1alpha1.AirlockHostAlias
	redirect  []string
	upstreams []config.Upstream
	path      config.ClientPath
}

// service is a Service of an upstream that airlock stands for.
type service struct {
	server    *v1alpha1.LabWorkload
	of        *corev1.Service
	companion *corev1.Service
	// ports are the ports of the Service that lead to agreed ports, by number.
	ports map[int32]v1alpha1.TransitPort
	// local are the ports on which the application is met, by the port of the Service.
	local map[int32]int32
}

func (s *service) key() string { return s.of.Namespace + "/" + s.of.Name }

// clientHalf is what airlock does for the connections that the application opens.
func clientHalf(facts Facts, notes *Notes) half {
	made := half{path: config.HostAliases}
	transit := desired.Sidecar(facts.Workload)
	if transit.ClientPath == v1alpha1.ClientPathRedirect {
		notes.RedirectForbidden = RedirectForbidden(facts.Namespaces[facts.Workload.Namespace])
		if !notes.RedirectForbidden {
			made.path = config.Redirect
		}
	}
	wanted := upstreamServices(facts, made.path, notes)
	made.allocated = allocateAddresses(facts, wanted)
	ips := map[string]string{}
	for _, address := range made.allocated {
		ips[address.Name] = address.IP
	}
	for i := range wanted {
		upstream, ip := &wanted[i], ips[wanted[i].key()]
		if ip == "" {
			continue
		}
		made.upstreams = append(made.upstreams, upstreamsOf(facts, upstream, ip, made.path)...)
		if made.path == config.Redirect {
			made.redirect = append(made.redirect, destinations(upstream)...)
		} else if names := hostNames(facts, upstream.of, notes); len(names) > 0 {
			made.aliases = append(made.aliases, v1alpha1.AirlockHostAlias{IP: ip, Hostnames: names})
		}
	}
	made.upstreams = append(made.upstreams, earlier(facts, made, wanted)...)
	made.upstreams = made.upstreams[:min(len(made.upstreams), config.MaxUpstreams)]
	slices.SortFunc(made.upstreams, func(a, b config.Upstream) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Listen, b.Listen))
	})
	slices.Sort(made.redirect)
	made.redirect = slices.Compact(made.redirect)
	return made
}

// RedirectForbidden says whether the Pod Security level that a namespace enforces refuses NET_ADMIN.
func RedirectForbidden(namespace map[string]string) bool {
	level := namespace["pod-security.kubernetes.io/enforce"]
	return level == "baseline" || level == "restricted"
}

// upstreamServices are the Services of all upstreams that airlock stands for, in order.
func upstreamServices(facts Facts, path config.ClientPath, notes *Notes) []service {
	inUse := served(facts)
	var found []service
	for _, server := range servers(facts) {
		agreed := agreedPorts(facts.Workload, server, facts.Profiles[types.NamespacedName{Namespace: server.Namespace, Name: server.Name}])
		if len(agreed) == 0 {
			continue
		}
		var addressed, headless []service
		for i := range facts.Services {
			of := &facts.Services[i]
			if of.Namespace != server.Namespace || isCompanion(of) {
				continue
			}
			companion := companionOf(facts.Services, of, server)
			if companion == nil {
				continue
			}
			candidate := service{server: server, of: of, companion: companion, ports: map[int32]v1alpha1.TransitPort{}, local: map[int32]int32{}}
			for _, port := range companion.Spec.Ports {
				if declared, isAgreed := agreed[port.TargetPort.IntVal]; isAgreed {
					candidate.ports[port.Port], candidate.local[port.Port] = declared, localPort(facts.Workload, server, declared, port.Port)
				}
			}
			switch {
			case len(candidate.ports) == 0:
			case of.Spec.ClusterIP == "" || of.Spec.ClusterIP == corev1.ClusterIPNone:
				headless = append(headless, candidate)
			default:
				addressed = append(addressed, candidate)
			}
		}
		for _, candidate := range addressed {
			if usable(&candidate, path, inUse, notes) {
				found = append(found, candidate)
			}
		}
		notes.Headless = append(notes.Headless, onlyHeadless(headless, addressed)...)
	}
	slices.Sort(notes.Headless)
	slices.SortFunc(found, func(a, b service) int { return cmp.Compare(a.key(), b.key()) })
	return slices.CompactFunc(found, func(a, b service) bool { return a.key() == b.key() })
}

// servers are the LabWorkloads with a sidecar that pods get, in order.
func servers(facts Facts) []*v1alpha1.LabWorkload {
	var found []*v1alpha1.LabWorkload
	for name, server := range facts.Peers {
		profile := facts.Profiles[name]
		if desired.Sidecar(server) != nil && profile != nil && profile.Spec.Selector != nil {
			found = append(found, server)
		}
	}
	slices.SortFunc(found, func(a, b *v1alpha1.LabWorkload) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return found
}

// agreedPorts are the declared ports of server that client may reach, by the port of the sidecar.
func agreedPorts(client, server *v1alpha1.LabWorkload, profile *v1alpha1.AirlockProfile) map[int32]v1alpha1.TransitPort {
	agreed := desired.AgreedPorts(client, server)
	found := map[int32]v1alpha1.TransitPort{}
	for _, allocated := range profile.Spec.Ports {
		for _, port := range declared(server) {
			if port.Port == allocated.Port && slices.Contains(agreed, port.Port) {
				found[allocated.SidecarPort] = port
			}
		}
	}
	return found
}

// companionOf is the companion of a Service, if it belongs to a LabWorkload.
func companionOf(services []corev1.Service, of *corev1.Service, server *v1alpha1.LabWorkload) *corev1.Service {
	companion := serviceNamed(services, of.Namespace, desired.CompanionName(of.Name))
	if companion == nil || !isCompanion(companion) || companion.Labels[v1alpha1.LabWorkloadLabel] != desired.LabelValue(server.Name) {
		return nil
	}
	return companion
}

// localPort is the port on which airlock listens for a port of an upstream's Service.
func localPort(client, server *v1alpha1.LabWorkload, declared v1alpha1.TransitPort, port int32) int32 {
	for _, settings := range desired.Sidecar(client).Upstreams {
		means := settings.LabWorkload.Name == server.Name && cmp.Or(settings.LabWorkload.Namespace, client.Namespace) == server.Namespace
		if means && settings.LocalPort != 0 && (settings.Port == "" || settings.Port == declared.Name) {
			return settings.LocalPort
		}
	}
	return port
}

// onlyHeadless are the headless Services that lead to a port to which none with an address leads. One beside such a Service, as a StatefulSet has it, may
// be there for names alone; whoever uses it for connections is seen as a plaintext peer.
func onlyHeadless(headless, addressed []service) []string {
	led := map[int32]bool{}
	for _, one := range addressed {
		for _, port := range one.ports {
			led[port.Port] = true
		}
	}
	var names []string
	for _, one := range headless {
		for _, port := range one.ports {
			if !led[port.Port] {
				names = append(names, one.key())
			}
		}
	}
	return names
}

// usable says whether airlock can stand for a Service, and notes why not.
func usable(candidate *service, path config.ClientPath, inUse map[int32]bool, notes *Notes) bool {
	if path == config.Redirect {
		return true
	}
	var conflicting []string
	listens := map[int32]bool{}
	for _, local := range candidate.local {
		if inUse[local] || listens[local] {
			conflicting = append(conflicting, fmt.Sprintf("%s:%d", candidate.key(), local))
		}
		listens[local] = true
	}
	notes.Conflicts = append(notes.Conflicts, conflicting...)
	return len(conflicting) == 0
}

// upstreamsOf are the upstreams behind one Service. Ports of which nothing is declared are passed on as they are while the upstream is not Strict, since the
// names of the Service lead to airlock whatever the port.
func upstreamsOf(facts Facts, upstream *service, ip string, path config.ClientPath) []config.Upstream {
	strict := isStrict(facts, upstream.server.Namespace, upstream.server.Name)
	listens := map[int32]bool{}
	for _, local := range upstream.local {
		listens[local] = true
	}
	inUse := served(facts)
	var made []config.Upstream
	for _, port := range upstream.of.Spec.Ports {
		declared, agreed := upstream.ports[port.Port]
		one := config.Upstream{
			ID: desired.SPIFFEID(upstream.server, facts.Platform.TrustDomain), MinTLSVersion: "1.3", Plain: join(upstream.of.Spec.ClusterIP, port.Port), Fallback: !strict,
		}
		switch {
		case agreed:
			one.Name = nameOf(upstream.key(), port.Port)
			one.MinTLSVersion = cmp.Or(declared.MinTLSVersion, one.MinTLSVersion)
			one.Secure = secure(upstream.companion, port.Port)
			if path == config.Redirect {
				one.Destinations = destinationsOf(upstream.of, port.Port)
			} else {
				one.Listen = join(ip, upstream.local[port.Port])
			}
		case path == config.Redirect || strict || inUse[port.Port] || listens[port.Port] || cmp.Or(port.Protocol, corev1.ProtocolTCP) != corev1.ProtocolTCP:
			continue
		default:
			one.Name, one.Listen = fmt.Sprintf("%s%s/%d", PassedOn, upstream.key(), port.Port), join(ip, port.Port)
		}
		made = append(made, one)
	}
	return made
}

// nameOf is the name of an upstream. airlock ends connections whose upstream it does not find by its name, so that it says what does not change while a connection
// lives: neither who declares it nor that somebody does.
func nameOf(service string, port int32) string { return fmt.Sprintf("%s:%d", service, port) }

func isStrict(facts Facts, namespace, name string) bool {
	profile := facts.Profiles[types.NamespacedName{Namespace: namespace, Name: name}]
	return profile != nil && profile.Spec.Stage == v1alpha1.TransitStageStrict
}

func secure(companion *corev1.Service, port int32) string {
	if companion == nil || companion.Spec.ClusterIP == "" || companion.Spec.ClusterIP == corev1.ClusterIPNone {
		return ""
	}
	if !slices.ContainsFunc(companion.Spec.Ports, func(known corev1.ServicePort) bool { return known.Port == port }) {
		return ""
	}
	return join(companion.Spec.ClusterIP, port)
}

func join(address string, port int32) string {
	return net.JoinHostPort(address, strconv.Itoa(int(port)))
}

// destinations are the addresses that rules in the pod send to airlock for a Service.
func destinations(upstream *service) []string {
	var all []string
	for port := range upstream.ports {
		all = append(all, destinationsOf(upstream.of, port)...)
	}
	return all
}

func destinationsOf(of *corev1.Service, port int32) []string {
	addresses := of.Spec.ClusterIPs
	if len(addresses) == 0 {
		addresses = []string{of.Spec.ClusterIP}
	}
	var all []string
	for _, address := range addresses {
		all = append(all, join(address, port))
	}
	return all
}

// earlier are the upstreams that nobody declares any more and that running pods still have names for: without a listener their connections would fail until
// the pods are replaced. They are not made weaker: where the upstream is Strict, it refuses them itself.
func earlier(facts Facts, client half, wanted []service) []config.Upstream {
	inUse := served(facts)
	var made []config.Upstream
	for _, address := range client.allocated {
		namespace, name, _ := strings.Cut(address.Name, "/")
		of := serviceNamed(facts.Services, namespace, name)
		if of == nil || of.Spec.ClusterIP == "" || of.Spec.ClusterIP == corev1.ClusterIPNone ||
			slices.ContainsFunc(wanted, func(s service) bool { return s.key() == address.Name }) {
			continue
		}
		server := &v1alpha1.LabWorkload{}
		server.Namespace, server.Name = namespace, address.LabWorkload
		companion := companionOf(facts.Services, of, server)
		listens := map[int32]bool{}
		for _, port := range of.Spec.Ports {
			local := localPort(facts.Workload, server, v1alpha1.TransitPort{}, port.Port)
			if client.path != config.Redirect && (inUse[local] || listens[local]) || cmp.Or(port.Protocol, corev1.ProtocolTCP) != corev1.ProtocolTCP {
				continue
			}
			listens[local] = true
			one := config.Upstream{
				Name:   nameOf(address.Name, port.Port),
				Secure: secure(companion, port.Port), Plain: join(of.Spec.ClusterIP, port.Port), ID: desired.SPIFFEID(server, facts.Platform.TrustDomain),
				MinTLSVersion: "1.2", Fallback: !isStrict(facts, namespace, address.LabWorkload),
			}
			if client.path == config.Redirect {
				one.Destinations = destinationsOf(of, port.Port)
			} else {
				one.Listen = join(address.IP, local)
			}
			made = append(made, one)
		}
	}
	return made
}
