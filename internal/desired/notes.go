// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/types"
)

// Notes is what the NetworkPolicy of a LabWorkload does not say although the spec wants it, each with the way out. All lists are sorted
// and have no duplicates.
type Notes struct {
	// PeerPending are peers that this LabWorkload names and whose side is missing. Nothing is open to them as far as it is missing.
	PeerPending []PeerNote
	// Requests are LabWorkloads of other namespaces that name this one, which does not name them. They change nothing: whoever
	// may write a LabWorkload anywhere must not be able to turn a condition of this one.
	Requests []PeerNote
	// SourceAddressLost are Services that hide the address of external peers. Their ports are open to all.
	SourceAddressLost []ServiceNote
	// Missing are facts about the cluster without which the policy would cut something that the spec allows, such as DNS. A
	// policy with a note here must not be written over none, or over one that was complete: wait for the facts.
	Missing []string
}

// PeerNote is one line about another LabWorkload.
type PeerNote struct {
	// Peer is the other LabWorkload.
	Peer types.NamespacedName
	// Text says what the other side has to add, in a clause such as "LabWorkload chemistry/gw does not exist".
	Text string
}

// ServiceNote is one line about a Service of the namespace.
type ServiceNote struct {
	// Service is the name of the Service.
	Service string
	// Port is the container port that it leads to and that has external peers.
	Port int32
	// Text says what is wrong and how to mend it.
	Text string
}

// Pending are the lines of PeerPending.
func (n Notes) Pending() []string {
	lines := make([]string, 0, len(n.PeerPending))
	for _, note := range n.PeerPending {
		lines = append(lines, note.Text)
	}
	return sorted(lines)
}

// LostServices are the names of the Services in SourceAddressLost, each once.
func (n Notes) LostServices() []string {
	names := make([]string, 0, len(n.SourceAddressLost))
	for _, note := range n.SourceAddressLost {
		names = append(names, note.Service)
	}
	return sorted(names)
}

func (n *Notes) sort() {
	n.PeerPending = sortedPeers(n.PeerPending)
	n.Requests = sortedPeers(n.Requests)
	slices.SortFunc(n.SourceAddressLost, func(a, b ServiceNote) int {
		return cmp.Or(cmp.Compare(a.Service, b.Service), cmp.Compare(a.Port, b.Port))
	})
	n.SourceAddressLost = slices.Compact(n.SourceAddressLost)
	n.Missing = sorted(n.Missing)
}

func sortedPeers(notes []PeerNote) []PeerNote {
	slices.SortFunc(notes, func(a, b PeerNote) int {
		return cmp.Or(cmp.Compare(a.Peer.Namespace, b.Peer.Namespace), cmp.Compare(a.Peer.Name, b.Peer.Name), cmp.Compare(a.Text, b.Text))
	})
	return slices.Compact(notes)
}

func sorted(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}
