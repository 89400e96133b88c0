// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package path

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/plugin/standing"
	"github.com/labguard/labguard/internal/posture"
)

// companion is the Service that leads to the airlocks of the server.
func companion(facts Facts) Link {
	link := Link{Name: "companion", Weight: standing.Good}
	if facts.ServicesUnread != "" {
		link.Weight, link.Text = standing.Unsure, "the Services cannot be read: "+facts.ServicesUnread
		if listed := listed(facts.Server); len(listed) > 0 {
			link.Text = fmt.Sprintf("Service %s by the status of %s; whether it is there cannot be read", strings.Join(listed, ", "), name(facts.Server))
		}
		return link
	}
	var words []string
	for i := range facts.Companions {
		words = append(words, wordsOf(&facts.Companions[i]))
	}
	slices.Sort(words)
	link.Text = strings.Join(words, "; ")
	if len(words) == 0 {
		link.Weight, link.Text = standing.Bad, "no Service leads to the airlocks of "+name(facts.Server)+": give its declared port a Service with a selector"
	}
	return link
}

// listed are the companions by the status of the server.
func listed(server *v1alpha1.LabWorkload) []string {
	var names []string
	if status := server.Status.Transit; status != nil {
		for _, port := range status.Ports {
			names = append(names, port.Services...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func wordsOf(service *corev1.Service) string {
	var ports []string
	for _, port := range service.Spec.Ports {
		ports = append(ports, fmt.Sprintf("%d -> %s", port.Port, port.TargetPort.String()))
	}
	return fmt.Sprintf("Service %s/%s at %s, %s", service.Namespace, service.Name, service.Spec.ClusterIP, strings.Join(ports, ", "))
}

// alias is how connections of the client's application reach its airlock.
func alias(facts Facts) Link {
	link := Link{Name: "alias", Weight: standing.Bad}
	if facts.ProfileUnread != "" {
		return Link{Name: link.Name, Weight: standing.Unsure, Text: "the AirlockProfile of " + name(facts.Client) + " cannot be read: " + facts.ProfileUnread}
	}
	if facts.Profile == nil {
		link.Text = name(facts.Client) + " has no AirlockProfile: no pod of it gets airlock"
		return link
	}
	spec := &facts.Profile.Spec
	var words []string
	for _, upstream := range spec.Upstreams {
		namespace, _, _ := strings.Cut(upstream.Name, "/")
		if namespace != facts.Server.Namespace || upstream.LabWorkload != facts.Server.Name {
			continue
		}
		at := slices.IndexFunc(spec.Current.HostAliases, func(alias v1alpha1.AirlockHostAlias) bool { return alias.IP == upstream.IP })
		switch {
		case at >= 0:
			words = append(words, strings.Join(spec.Current.HostAliases[at].Hostnames, ", ")+" -> "+upstream.IP)
		case len(spec.Current.Redirect) > 0:
			words = append(words, "connections to Service "+upstream.Name+" are redirected")
		}
	}
	if len(words) > 0 {
		link.Weight, link.Text = standing.Good, strings.Join(words, "; ")
	} else {
		link.Text = "pods of " + name(facts.Client) + " have no name that leads to airlock for " + name(facts.Server)
	}
	condition := meta.FindStatusCondition(facts.Client.Status.Conditions, v1alpha1.ConditionTransitEncrypted)
	if condition != nil && condition.Status != metav1.ConditionTrue && slices.Contains(clientReasons, condition.Reason) {
		link.Text += fmt.Sprintf("; %s of %s: %s", condition.Reason, name(facts.Client), condition.Message)
		if link.Weight == standing.Good {
			link.Weight = standing.Unsure
		}
	}
	return link
}

// certificate says whether one end has an identity.
func certificate(end string, lw *v1alpha1.LabWorkload, now time.Time) []Link {
	if desired.Sidecar(lw) == nil {
		return nil
	}
	link := Link{Name: end + " certificate", Weight: standing.Good}
	found := lw.Status.Certificate
	if found == nil || found.NotAfter == nil {
		link.Weight, link.Text = standing.Bad, name(lw)+" has none yet: look at its Certificate and the events of it"
		return []Link{link}
	}
	expires := found.NotAfter.UTC()
	link.Text, link.Until = fmt.Sprintf("%s, serial %s", found.SecretName, found.Serial), &expires
	if !now.Before(expires) {
		link.Weight, link.Text = standing.Bad, link.Text+", has expired"
	}
	return []Link{link}
}

// policy is what the network policy of one end does to other ways. It does not carry this one.
func policy(end string, lw *v1alpha1.LabWorkload, now time.Time) []Link {
	link := Link{Name: end + " policy", Weight: standing.Note}
	condition := meta.FindStatusCondition(lw.Status.Conditions, v1alpha1.ConditionNetworkIsolated)
	switch {
	case !posture.RestrictsNetwork(&lw.Spec):
		link.Text = name(lw) + " restricts nothing"
	case !posture.EnforcementAt(&lw.Spec, now).Network:
		link.Text = "that of " + name(lw) + " is not enforced, so that other ways are open"
	case condition == nil:
		link.Text = "labguard has not answered NetworkIsolated of " + name(lw) + " yet"
	default:
		link.Text = fmt.Sprintf("%s enforced; NetworkIsolated is %s, %s: %s", desired.ChildName(lw.Name), condition.Status, condition.Reason, condition.Message)
	}
	return []Link{link}
}
