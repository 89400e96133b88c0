// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"cmp"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Peers are LabWorkloads by namespace and name. For the policy of one LabWorkload it has to hold those that it names and those that
// name it; more do no harm. A declaration counts whatever the enforcement of the LabWorkload that makes it.
type Peers map[types.NamespacedName]*v1alpha1.LabWorkload

// NewPeers indexes LabWorkloads. One that is being deleted is as if it were not there, and so is one without a selector.
func NewPeers(labWorkloads ...*v1alpha1.LabWorkload) Peers {
	peers := make(Peers, len(labWorkloads))
	for _, lw := range labWorkloads {
		if exists(lw) {
			peers[key(lw)] = lw
		}
	}
	return peers
}

// References are the LabWorkloads that lw names in allowFrom or egress, sorted, each once, lw itself included if it names itself.
// An index on it finds for a LabWorkload those that name it.
func References(lw *v1alpha1.LabWorkload) []types.NamespacedName {
	found := map[types.NamespacedName]bool{}
	for _, port := range declaredPorts(lw) {
		for _, peer := range port.AllowFrom {
			if peer.LabWorkload != nil {
				found[resolve(lw, peer.LabWorkload)] = true
			}
		}
	}
	for _, entry := range egress(lw) {
		if entry.LabWorkload != nil {
			found[resolve(lw, entry.LabWorkload)] = true
		}
	}
	return slices.SortedFunc(maps.Keys(found), compareNames)
}

// exists says whether a LabWorkload counts. An empty selector, which the API refuses, would mean every pod of a namespace.
func exists(lw *v1alpha1.LabWorkload) bool {
	return lw != nil && lw.DeletionTimestamp == nil && len(lw.Spec.Selector.MatchLabels)+len(lw.Spec.Selector.MatchExpressions) > 0
}

func key(lw *v1alpha1.LabWorkload) types.NamespacedName {
	return types.NamespacedName{Namespace: lw.Namespace, Name: lw.Name}
}

func resolve(from *v1alpha1.LabWorkload, reference *v1alpha1.LabWorkloadReference) types.NamespacedName {
	return types.NamespacedName{Namespace: cmp.Or(reference.Namespace, from.Namespace), Name: reference.Name}
}

func compareNames(a, b types.NamespacedName) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

func declaredPorts(lw *v1alpha1.LabWorkload) []v1alpha1.TransitPort {
	if lw.Spec.Encryption == nil || lw.Spec.Encryption.InTransit == nil {
		return nil
	}
	return lw.Spec.Encryption.InTransit.Ports
}

func egress(lw *v1alpha1.LabWorkload) []v1alpha1.EgressPeer {
	if lw.Spec.Network == nil {
		return nil
	}
	return lw.Spec.Network.Egress
}

// link is what two LabWorkloads have agreed that the one may reach of the other. The zero value is nothing.
type link struct {
	// all: every port of every protocol.
	all   bool
	ports map[v1alpha1.PeerPort]bool
}

func (l link) empty() bool {
	return !l.all && len(l.ports) == 0
}

func (l link) has(port v1alpha1.PeerPort) bool {
	return l.all || l.ports[port]
}

// agree says what client may reach of server. It is the one place where declarations are weighed, for the policies of both sides, so
// that they cannot differ. Within a namespace either side's word is enough; across namespaces both have to name each other, since a
// LabWorkload that names another opens that one's egress.
func agree(client, server *v1alpha1.LabWorkload) link {
	agreed := link{ports: map[v1alpha1.PeerPort]bool{}}
	invited, declared := invitations(client, server), declaredPorts(server)
	together := client.Namespace == server.Namespace
	if together {
		maps.Copy(agreed.ports, invited)
	}
	for _, entry := range egress(client) {
		if entry.LabWorkload == nil || resolve(client, entry.LabWorkload) != key(server) {
			continue
		}
		wanted := wantedPorts(entry)
		switch {
		case !together:
			agreed.add(invited, wanted)
		case len(declared) > 0:
			agreed.add(tcp(declared), wanted)
		case len(wanted) > 0:
			maps.Copy(agreed.ports, wanted)
		default:
			agreed.all = true
		}
	}
	return agreed
}

// add adds the offered ports, limited to the wanted ones if any are named.
func (l *link) add(offered, wanted map[v1alpha1.PeerPort]bool) {
	for port := range offered {
		if len(wanted) == 0 || wanted[port] {
			l.ports[port] = true
		}
	}
}

// invitations are the ports of server whose allowFrom names client.
func invitations(client, server *v1alpha1.LabWorkload) map[v1alpha1.PeerPort]bool {
	ports := map[v1alpha1.PeerPort]bool{}
	for _, port := range declaredPorts(server) {
		for _, peer := range port.AllowFrom {
			if peer.LabWorkload != nil && resolve(server, peer.LabWorkload) == key(client) {
				ports[tcpPort(port.Port)] = true
			}
		}
	}
	return ports
}

func tcp(declared []v1alpha1.TransitPort) map[v1alpha1.PeerPort]bool {
	ports := make(map[v1alpha1.PeerPort]bool, len(declared))
	for _, port := range declared {
		ports[tcpPort(port.Port)] = true
	}
	return ports
}

func tcpPort(number int32) v1alpha1.PeerPort {
	return v1alpha1.PeerPort{Port: number, Protocol: "TCP"}
}

// wantedPorts are the ports that an egress entry names; none means all that there are.
func wantedPorts(entry v1alpha1.EgressPeer) map[v1alpha1.PeerPort]bool {
	ports := make(map[v1alpha1.PeerPort]bool, len(entry.Ports))
	for _, port := range entry.Ports {
		ports[v1alpha1.PeerPort{Port: port.Port, Protocol: cmp.Or(port.Protocol, "TCP")}] = true
	}
	return ports
}
