// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"net"
	"slices"
	"strings"

	"github.com/miekg/dns"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
)

const (
	// apex is the domain that this server knows everything about.
	apex = "cluster.local."
	// ttl is short, as tests change Services often.
	ttl = 5
)

// A zone has the records of every name that exists, by lower case name. One that
// exists because of a longer one has none.
type zone map[string][]dns.RR

// newZone is the specification for DNS of Kubernetes, without records for pods by
// address and without reverse lookups.
func newZone(services []*corev1.Service, slices []*discoveryv1.EndpointSlice) zone {
	z := zone{}
	z.exist("svc." + apex)
	byService := map[string][]*discoveryv1.EndpointSlice{}
	for _, s := range slices {
		key := s.Namespace + "/" + s.Labels[discoveryv1.LabelServiceName]
		byService[key] = append(byService[key], s)
	}
	for _, s := range services {
		z.addService(s, byService[s.Namespace+"/"+s.Name])
	}
	return z
}

func (z zone) addService(s *corev1.Service, endpoints []*discoveryv1.EndpointSlice) {
	name := strings.ToLower(s.Name + "." + s.Namespace + ".svc." + apex)
	switch {
	case s.Spec.Type == corev1.ServiceTypeExternalName:
		z.add(name, &dns.CNAME{Hdr: header(name, dns.TypeCNAME), Target: dns.Fqdn(s.Spec.ExternalName)})
	case s.Spec.ClusterIP == corev1.ClusterIPNone:
		z.addHeadless(name, s, endpoints)
	default:
		for _, ip := range s.Spec.ClusterIPs {
			z.addAddress(name, ip)
		}
		for _, p := range s.Spec.Ports {
			z.addPort(name, p.Name, p.Protocol, p.Port, name)
		}
	}
}

// addHeadless gives the name of a Service without an address those of its pods,
// and each pod a name below it.
func (z zone) addHeadless(name string, s *corev1.Service, endpoints []*discoveryv1.EndpointSlice) {
	z.exist(name)
	for _, slice := range endpoints {
		for _, e := range slice.Endpoints {
			if !usable(s, e) {
				continue
			}
			for _, ip := range e.Addresses {
				own := endpointName(e, ip) + "." + name
				z.addAddress(name, ip)
				z.addAddress(own, ip)
				for _, p := range slice.Ports {
					z.addPort(name, deref(p.Name), deref(p.Protocol), deref(p.Port), own)
				}
			}
		}
	}
}

// usable reports whether an endpoint counts: one that is not ready only where the
// Service says so.
func usable(s *corev1.Service, e discoveryv1.Endpoint) bool {
	return s.Spec.PublishNotReadyAddresses || e.Conditions.Ready == nil || *e.Conditions.Ready
}

// endpointName is the hostname of the pod, or its address where it has none.
func endpointName(e discoveryv1.Endpoint, ip string) string {
	if name := deref(e.Hostname); name != "" {
		return strings.ToLower(name)
	}
	return strings.NewReplacer(".", "-", ":", "-").Replace(ip)
}

func (z zone) addAddress(name, ip string) {
	parsed := net.ParseIP(ip)
	switch {
	case parsed == nil:
	case parsed.To4() != nil:
		z.add(name, &dns.A{Hdr: header(name, dns.TypeA), A: parsed.To4()})
	default:
		z.add(name, &dns.AAAA{Hdr: header(name, dns.TypeAAAA), AAAA: parsed})
	}
}

// addPort makes the SRV record of a port that has a name.
func (z zone) addPort(service, port string, protocol corev1.Protocol, number int32, target string) {
	if port == "" {
		return
	}
	name := strings.ToLower("_" + port + "._" + string(cmp.Or(protocol, corev1.ProtocolTCP)) + "." + service)
	const weight = 100
	z.add(name, &dns.SRV{Hdr: header(name, dns.TypeSRV), Weight: weight, Port: uint16(number), Target: target}) //nolint:gosec // the API server bounds it
}

func (z zone) add(name string, record dns.RR) {
	z.exist(name)
	same := func(other dns.RR) bool { return dns.IsDuplicate(other, record) }
	if !slices.ContainsFunc(z[name], same) {
		z[name] = append(z[name], record)
	}
}

// exist makes name and all names above it exist.
func (z zone) exist(name string) {
	for ; dns.IsSubDomain(apex, name); _, name, _ = strings.Cut(name, ".") {
		if _, known := z[name]; known {
			return
		}
		z[name] = nil
	}
}

// answer is the reply to one question. Nothing outside of the zone exists: there
// is nobody to ask.
func (z zone) answer(request *dns.Msg) *dns.Msg {
	reply := new(dns.Msg)
	if len(request.Question) != 1 {
		return reply.SetRcode(request, dns.RcodeFormatError)
	}
	reply.SetReply(request)
	reply.Authoritative, reply.RecursionAvailable = true, true
	question := request.Question[0]
	name := strings.ToLower(question.Name)
	records, exists := z[name]
	if !exists {
		reply.Rcode = dns.RcodeNameError
	}
	for _, r := range records {
		if kind := r.Header().Rrtype; kind == question.Qtype || kind == dns.TypeCNAME || question.Qtype == dns.TypeANY {
			reply.Answer = append(reply.Answer, r)
		}
		if srv, ok := r.(*dns.SRV); ok && question.Qtype == dns.TypeSRV {
			reply.Extra = append(reply.Extra, z.addresses(srv.Target)...)
		}
	}
	if len(reply.Answer) == 0 {
		reply.Ns = []dns.RR{soa()}
	}
	return reply
}

func (z zone) addresses(name string) []dns.RR {
	return slices.DeleteFunc(slices.Clone(z[name]), func(r dns.RR) bool {
		return r.Header().Rrtype != dns.TypeA && r.Header().Rrtype != dns.TypeAAAA
	})
}

// soa tells resolvers how long they may remember that something is not there.
func soa() dns.RR {
	const hour = 3600
	return &dns.SOA{
		Hdr: header(apex, dns.TypeSOA), Ns: "ns.dns." + apex, Mbox: "hostmaster." + apex,
		Serial: 1, Refresh: hour, Retry: hour, Expire: hour, Minttl: ttl,
	}
}

func header(name string, kind uint16) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: kind, Class: dns.ClassINET, Ttl: ttl}
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
