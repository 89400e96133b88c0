// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

const maxPort = 65535

// protocols are those of a NetworkPolicy; the place of one is the upper part of a port.
var protocols = []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}

// port is a protocol and a number from 1 to 65535. Number 0 is never used, so spans of two protocols never touch.
type port uint32

func portOf(protocol corev1.Protocol, number int32) (port, bool) {
	place := slices.Index(protocols, cmp.Or(protocol, corev1.ProtocolTCP))
	if place < 0 || number < 1 || number > maxPort {
		return 0, false
	}
	return port(place)<<16 | port(number), true //nolint:gosec // G115: place is below 3 and number below 65536
}

// Compare orders by protocol, then by number.
func (p port) Compare(other port) int { return cmp.Compare(p, other) }

// Next is the port above.
func (p port) Next() port { return p + 1 }

// Prev is the port below.
func (p port) Prev() port { return p - 1 }

func (p port) number() int32 { return int32(p & 0xffff) }

func (p port) protocol() corev1.Protocol { return protocols[p>>16] }

// String is the number, with the protocol unless it is TCP.
func (p port) String() string {
	if p.protocol() == corev1.ProtocolTCP {
		return strconv.Itoa(int(p.number()))
	}
	return fmt.Sprintf("%s %d", p.protocol(), p.number())
}

func portSet(ports ...port) set[port] {
	spans := make([]span[port], 0, len(ports))
	for _, p := range ports {
		spans = append(spans, span[port]{p, p})
	}
	return newSet(spans...)
}

// allOf is every port of a protocol.
func allOf(protocol corev1.Protocol) set[port] {
	lo, ok := portOf(protocol, 1)
	if !ok {
		return nil
	}
	return set[port]{{lo, lo + maxPort - 1}}
}

func everyPort() set[port] {
	return slices.Concat(allOf(corev1.ProtocolTCP), allOf(corev1.ProtocolUDP), allOf(corev1.ProtocolSCTP))
}

// portName is a port that a policy gives by the name of a container port.
type portName struct {
	protocol corev1.Protocol
	name     string
}

// ruleports is the ports of one rule: numbers, and names that mean something only on a pod.
type ruleports struct {
	numbers set[port]
	names   []portName
}

// compilePorts reads the ports of a rule. No ports means every port of every protocol.
func compilePorts(ports []networkingv1.NetworkPolicyPort) ruleports {
	if len(ports) == 0 {
		return ruleports{numbers: everyPort()}
	}
	var found ruleports
	for _, p := range ports {
		protocol := corev1.ProtocolTCP
		if p.Protocol != nil {
			protocol = *p.Protocol
		}
		switch {
		case p.Port == nil:
			found.numbers = found.numbers.union(allOf(protocol))
		case p.Port.Type == intstr.String:
			found.names = append(found.names, portName{protocol, p.Port.StrVal})
		default:
			last := p.Port.IntVal
			if p.EndPort != nil {
				last = max(last, *p.EndPort)
			}
			lo, lowOK := portOf(protocol, p.Port.IntVal)
			hi, highOK := portOf(protocol, last)
			if lowOK && highOK {
				found.numbers = found.numbers.union(set[port]{{lo, hi}})
			}
		}
	}
	return found
}

// on gives the ports on a pod, where names mean what its containers say. A name that none has means nothing.
func (r ruleports) on(pod *Pod) set[port] {
	if len(r.names) == 0 {
		return r.numbers
	}
	numbers := r.numbers
	for _, name := range r.names {
		if p, ok := pod.named(name); ok {
			numbers = numbers.union(portSet(p))
		}
	}
	return numbers
}

// portWords are up to three ports in words.
func portWords(ports []port) string {
	words := make([]string, 0, len(ports))
	for _, p := range ports {
		words = append(words, p.String())
	}
	if len(words) > 3 {
		words = append(words[:3], fmt.Sprintf("%d more", len(words)-3))
	}
	if len(words) == 1 {
		return "port " + words[0]
	}
	return "ports " + strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}
