// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package desired

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
)

// pending compares what lw declares with what its peers have agreed to.
func pending(lw *v1alpha1.LabWorkload, peers Peers, notes *Notes) {
	for _, name := range References(lw) {
		peer := peers[name]
		if peer == nil {
			notes.PeerPending = append(notes.PeerPending, PeerNote{Peer: name, Text: fmt.Sprintf("LabWorkload %s does not exist", name)})
			continue
		}
		if text := uninvited(lw, peer); text != "" {
			notes.PeerPending = append(notes.PeerPending, PeerNote{Peer: name, Text: text})
		}
		if text := unanswered(lw, peer); text != "" {
			notes.PeerPending = append(notes.PeerPending, PeerNote{Peer: name, Text: text})
		}
	}
}

// unanswered says what client has to add so that the ports of lw that invite it are open to it.
func unanswered(lw, client *v1alpha1.LabWorkload) string {
	agreed := agree(client, lw)
	missing := map[v1alpha1.PeerPort]bool{}
	for port := range invitations(client, lw) {
		if !agreed.has(port) {
			missing[port] = true
		}
	}
	if len(missing) == 0 {
		return ""
	}
	return fmt.Sprintf("LabWorkload %s has to name %s under network.egress, for %s", key(client), key(lw), portWords(missing))
}

// uninvited says what server has to add so that lw may reach what its egress wants of it.
func uninvited(lw, server *v1alpha1.LabWorkload) string {
	agreed := agree(lw, server)
	wanted, named := map[v1alpha1.PeerPort]bool{}, false
	for _, entry := range egress(lw) {
		if entry.LabWorkload != nil && resolve(lw, entry.LabWorkload) == key(server) {
			named = true
			maps.Copy(wanted, wantedPorts(entry))
		}
	}
	maps.DeleteFunc(wanted, func(port v1alpha1.PeerPort, _ bool) bool { return agreed.has(port) })
	switch {
	case !named || len(wanted) == 0 && !agreed.empty():
		return ""
	case lw.Namespace == server.Namespace:
		return fmt.Sprintf("LabWorkload %s does not declare %s under encryption.inTransit.ports", key(server), portWords(wanted))
	default:
		return fmt.Sprintf("LabWorkload %s has to name %s in allowFrom of %s", key(server), key(lw), portWords(wanted))
	}
}

// requests are the LabWorkloads of other namespaces that name lw without being named.
func requests(lw *v1alpha1.LabWorkload, peers Peers, notes *Notes) {
	named := map[types.NamespacedName]bool{}
	for _, name := range References(lw) {
		named[name] = true
	}
	for name, peer := range peers {
		if name.Namespace == lw.Namespace || named[name] || !slices.Contains(References(peer), key(lw)) {
			continue
		}
		notes.Requests = append(notes.Requests, PeerNote{Peer: name, Text: fmt.Sprintf("LabWorkload %s names %s, which does not name it: nothing is open between them", name, key(lw))})
	}
}

// portWords are up to three ports in words, in order; none named is "a port".
func portWords(ports map[v1alpha1.PeerPort]bool) string {
	if len(ports) == 0 {
		return "a port"
	}
	var words []string
	for _, port := range slices.SortedFunc(maps.Keys(ports), comparePorts) {
		if port.Protocol == "TCP" {
			words = append(words, strconv.Itoa(int(port.Port)))
			continue
		}
		words = append(words, string(port.Protocol)+" "+strconv.Itoa(int(port.Port)))
	}
	if len(words) > 3 {
		words = append(words[:3], fmt.Sprintf("%d more", len(words)-3))
	}
	if len(words) == 1 {
		return "port " + words[0]
	}
	return "ports " + strings.Join(words[:len(words)-1], ", ") + " and " + words[len(words)-1]
}

func comparePorts(a, b v1alpha1.PeerPort) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Port, b.Port))
}
