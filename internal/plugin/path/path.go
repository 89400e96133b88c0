// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package path

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/plugin/standing"
	"github.com/labguard/labguard/internal/posture"
)

// Facts are the two ends, and what lies between them.
type Facts struct {
	Client, Server *v1alpha1.LabWorkload
	// Profile is the AirlockProfile of the client; nil: there is none. ProfileUnread says why it could not be read, "" if it could.
	Profile       *v1alpha1.AirlockProfile
	ProfileUnread string
	// Companions are the Services of the server's namespace that labguard has written for the server. ServicesUnread says why they could not be read.
	Companions     []corev1.Service
	ServicesUnread string
	Now            time.Time
}

// Verdict is what is known of the whole way.
type Verdict string

// The verdicts.
const (
	// MutualTLS: every link is there, and the last proof stands.
	MutualTLS Verdict = "MutualTLS"
	// Unproven: no link is known to be missing, and not all are known to be there.
	Unproven Verdict = "Unproven"
	// NotMutualTLS: a link is missing.
	NotMutualTLS Verdict = "NotMutualTLS"
)

// Way is the answer. It is also what programs read.
type Way struct {
	From    string  `json:"from"`
	To      string  `json:"to"`
	Verdict Verdict `json:"verdict"`
	// Reason is the first link that is missing, or not known; empty if every one is there.
	Reason string `json:"reason,omitempty"`
	// Traffic is what a connection meets.
	Traffic string `json:"traffic"`
	// Links are those of the way in order.
	Links []Link `json:"links"`
}

// Link is one link of the way.
type Link struct {
	Name   string          `json:"name"`
	Weight standing.Weight `json:"weight"`
	Text   string          `json:"text"`
	Until  *time.Time      `json:"until,omitempty"`
}

// Of follows the way.
func Of(facts Facts) Way {
	way := Way{From: name(facts.Client), To: name(facts.Server)}
	agreed := desired.AgreedPorts(facts.Client, facts.Server)
	way.Links = slices.Concat(
		[]Link{declaration(facts, agreed)}, sidecar("server", facts.Server), sidecar("client", facts.Client), stage(facts.Server),
		[]Link{companion(facts), alias(facts)}, certificate("server", facts.Server, facts.Now), certificate("client", facts.Client, facts.Now),
		policy("server", facts.Server, facts.Now), policy("client", facts.Client, facts.Now),
		outdated("server", facts.Server, facts.Now), outdated("client", facts.Client, facts.Now), proof(facts),
	)
	way.Verdict, way.Reason = verdict(way.Links)
	way.Traffic = traffic(facts, way.Verdict, len(agreed) > 0)
	return way
}

func name(lw *v1alpha1.LabWorkload) string { return lw.Namespace + "/" + lw.Name }

func verdict(links []Link) (Verdict, string) {
	for _, weight := range []standing.Weight{standing.Bad, standing.Unsure} {
		at := slices.IndexFunc(links, func(link Link) bool { return link.Weight == weight })
		switch {
		case at < 0:
		case weight == standing.Bad:
			return NotMutualTLS, links[at].Name + ": " + links[at].Text
		default:
			return Unproven, links[at].Name + ": " + links[at].Text
		}
	}
	return MutualTLS, ""
}

// traffic is what a connection meets, by what the two have in force.
func traffic(facts Facts, found Verdict, agreed bool) string {
	serverCloses := posture.EnforcementAt(&facts.Server.Spec, facts.Now).Network && len(declared(facts.Server)) > 0
	clientCloses := posture.EnforcementAt(&facts.Client.Spec, facts.Now).Network && facts.Client.Spec.Network != nil && facts.Client.Spec.Network.Egress != nil
	strict := facts.Server.Status.Transit != nil && facts.Server.Status.Transit.Stage == v1alpha1.TransitStageStrict
	switch {
	case !agreed && (serverCloses || clientCloses):
		return "is cut off by the network policy, where the network obeys it"
	case !agreed:
		return "goes through as it is, since nothing enforced closes it"
	case found == MutualTLS:
		return "goes over mutual TLS"
	case found == Unproven:
		return "is to go over mutual TLS; that it does is not shown"
	case strict && serverCloses:
		return "is cut off: at Strict the port is open over mutual TLS alone"
	default:
		return "goes through in plaintext, or as the application encrypts it"
	}
}

func declared(lw *v1alpha1.LabWorkload) []v1alpha1.TransitPort {
	if transit := posture.Transit(&lw.Spec); transit != nil {
		return transit.Ports
	}
	return nil
}

func declaration(facts Facts, agreed []int32) Link {
	link := Link{Name: "declared", Weight: standing.Good}
	if len(agreed) > 0 {
		var words []string
		for _, port := range declared(facts.Server) {
			if slices.Contains(agreed, port.Port) {
				words = append(words, fmt.Sprintf("%s (%d)", port.Name, port.Port))
			}
		}
		link.Text = "both agree on " + strings.Join(words, ", ")
		return link
	}
	link.Weight = standing.Bad
	link.Text = fmt.Sprintf("nothing is agreed: name %s in allowFrom of a port of %s", name(facts.Client), name(facts.Server))
	if facts.Client.Namespace != facts.Server.Namespace {
		link.Text += fmt.Sprintf(", and %s in network.egress of %s", name(facts.Server), name(facts.Client))
	}
	if pending := pending(facts); pending != "" {
		link.Text = "nothing is agreed: " + pending
	}
	return link
}

// pending is what the one has said and the other has not.
func pending(facts Facts) string {
	peers := desired.NewPeers(facts.Client, facts.Server)
	for _, pair := range [][2]*v1alpha1.LabWorkload{{facts.Client, facts.Server}, {facts.Server, facts.Client}} {
		_, notes := desired.NetworkPolicy(pair[0], desired.NetworkFacts{Peers: peers, Now: facts.Now})
		for _, note := range notes.PeerPending {
			if note.Peer == (types.NamespacedName{Namespace: pair[1].Namespace, Name: pair[1].Name}) {
				return note.Text
			}
		}
	}
	return ""
}

// sidecar says whether one end has airlock.
func sidecar(end string, lw *v1alpha1.LabWorkload) []Link {
	link := Link{Name: end + " airlock", Weight: standing.Good}
	status := lw.Status.Transit
	switch {
	case posture.Transit(&lw.Spec) == nil:
		link.Weight, link.Text = standing.Bad, name(lw)+" asks for no encryption in transit"
	case desired.Sidecar(lw) == nil:
		link.Weight, link.Text = standing.Bad, "the application of "+name(lw)+" speaks TLS itself (provider Application): labguard sees none of its connections"
	case status == nil || status.Pods == nil || status.Injected == nil:
		link.Weight, link.Text = standing.Unsure, "labguard has not said yet which pods of "+name(lw)+" have airlock"
	case *status.Pods == 0:
		link.Weight, link.Text = standing.Unsure, "no pod of "+name(lw)+" runs"
	default:
		link.Text = fmt.Sprintf("in %d of %d pods of %s", *status.Injected, *status.Pods, name(lw))
		if *status.Injected < *status.Pods {
			link.Weight = standing.Bad
			link.Text += "; the others get it when they are replaced"
		}
	}
	return []Link{link}
}

func stage(server *v1alpha1.LabWorkload) []Link {
	if desired.Sidecar(server) == nil || server.Status.Transit == nil {
		return nil
	}
	link := Link{Name: "stage", Weight: standing.Good, Text: string(server.Status.Transit.Stage)}
	switch server.Status.Transit.Stage {
	case v1alpha1.TransitStageObserve:
		link.Weight, link.Text = standing.Bad, link.Text+": nothing is encrypted by labguard yet"
	case v1alpha1.TransitStagePermissive:
		link.Weight, link.Text = standing.Unsure, link.Text+": plaintext is open as well, and is used where mutual TLS cannot be had"
	case v1alpha1.TransitStageStrict:
	}
	return []Link{link}
}

// conditions of a client that may concern just this upstream.
var clientReasons = []string{
	v1alpha1.ReasonClientPathConflict, v1alpha1.ReasonHeadlessUnsupported, v1alpha1.ReasonRestartNeeded, v1alpha1.ReasonRedirectForbidden,
}

// outdated says of one end that what its status shows is of an earlier spec, or of an earlier time.
func outdated(end string, lw *v1alpha1.LabWorkload, now time.Time) []Link {
	if why := standing.Outdated(lw, now); why != "" {
		return []Link{{Name: end + " status", Weight: standing.Unsure, Text: why}}
	}
	return nil
}

func proof(facts Facts) []Link {
	server := facts.Server
	link := Link{Name: "proof", Weight: standing.Unsure, Text: "labguard has not answered TransitEncrypted of " + name(server) + " yet"}
	if condition := meta.FindStatusCondition(server.Status.Conditions, v1alpha1.ConditionTransitEncrypted); condition != nil {
		link.Text = fmt.Sprintf("TransitEncrypted of %s is %s, %s: %s", name(server), condition.Status, condition.Reason, condition.Message)
		if condition.Status == metav1.ConditionTrue {
			link.Weight = standing.Good
		}
	}
	links := []Link{link}
	if status := server.Status.Transit; status != nil && status.ProbedAt != nil {
		text := fmt.Sprintf("%s from %s", status.ProbedAt.UTC().Format(time.RFC3339), cmp.Or(status.Vantage, "nobody knows where"))
		links = append(links, Link{Name: "last probe", Weight: standing.Note, Text: text})
	}
	return append(links, handshake(facts))
}

// handshake is when the client's airlocks were last let in by the server's.
func handshake(facts Facts) Link {
	link := Link{Name: "last handshake", Weight: standing.Note}
	status := facts.Client.Status.Transit
	if status == nil || facts.Profile == nil {
		link.Text = "not known"
		return link
	}
	var last *v1alpha1.TransitUpstreamStatus
	for i, one := range status.Upstreams {
		service, _, _ := strings.Cut(one.Name, ":")
		leads := slices.ContainsFunc(facts.Profile.Spec.Upstreams, func(known v1alpha1.AllocatedAddress) bool {
			namespace, _, _ := strings.Cut(known.Name, "/")
			return known.Name == service && known.LabWorkload == facts.Server.Name && namespace == facts.Server.Namespace
		})
		if leads && one.LastHandshake != nil && (last == nil || last.LastHandshake.Before(one.LastHandshake)) {
			last = &status.Upstreams[i]
		}
	}
	if last == nil {
		link.Text = "no airlock of " + name(facts.Client) + " has reported one that " + name(facts.Server) + " let in"
		return link
	}
	link.Weight, link.Text = standing.Good, fmt.Sprintf("%s with Service %s", last.LastHandshake.UTC().Format(time.RFC3339), last.Name)
	return link
}
