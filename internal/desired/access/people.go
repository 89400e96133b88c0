// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"slices"
	"strings"

	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/policy"
)

// Whoever is not asked has to be somebody whom the decision function lets through, whatever is asked for: an expression may send too many to it, and
// never too few. A login that chooses its user name is told from the component of that name by its groups, and by the claims that it cannot help showing.

// components are the parts of the control plane that are one user. Other names that begin with system: are people too: on some distributions the
// administrator is system:admin.
var components = []string{"system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:cloud-controller-manager"}

// collectors take away what belongs to nobody any more: the garbage collector, and the controller that empties namespaces. Without
// --use-service-account-credentials all controllers are one user.
var collectors = []string{
	"system:serviceaccount:kube-system:generic-garbage-collector", "system:serviceaccount:kube-system:namespace-controller",
	"system:kube-controller-manager",
}

const (
	groups   = "request.userInfo.?groups.orValue([])"
	extra    = "request.userInfo.?extra.orValue({})"
	username = "request.userInfo.?username.orValue('')"
)

// breakGlassMember is true for members of the group. As a match condition its opposite is decided before anything that could fail.
func (c Config) breakGlassMember() string {
	return policy.Quote(v1alpha1.EmergencyGroup(c.BreakGlass)) + " in " + groups
}

func (c Config) notBreakGlass() *admissionac.MatchConditionApplyConfiguration {
	return policy.Condition("not-break-glass", "!("+c.breakGlassMember()+")")
}

// claims is true if a login has brought any key of claims, readable or not.
func (c Config) claims() string {
	return policy.QuoteAll(c.claimKeys()) + ".exists(k, k in " + extra + ")"
}

// shows is true if one of the keys has a value that is not empty.
func (c Config) shows() string {
	return policy.QuoteAll(c.claimKeys()) + ".exists(k, " + extra + "[?k].orValue([]).exists(v, v != ''))"
}

// notKubernetes is false for the control plane, nodes and accounts of kube-system, which are never asked.
func (c Config) notKubernetes() *admissionac.MatchConditionApplyConfiguration {
	return policy.Condition("not-kubernetes", "!("+username+".startsWith('system:')\n"+
		"  && ("+username+" in "+policy.QuoteAll(components)+"\n"+
		"    || ("+username+".matches('^system:node:.') && 'system:nodes' in "+groups+")\n"+
		"    || ("+username+".matches('^system:serviceaccount:kube-system:[^:]+$')\n"+
		"      && ['system:serviceaccounts', 'system:serviceaccounts:kube-system'].all(g, g in "+groups+")))\n"+
		"  && !"+c.claims()+")")
}

// notAMachine is false for labguard itself and the listed machines, so that what they deploy never waits for labguard.
func (c Config) notAMachine() *admissionac.MatchConditionApplyConfiguration {
	accounts, users := c.unclaimed()
	var found []string
	if len(accounts) > 0 {
		found = append(found, "("+username+" in "+policy.QuoteAll(accounts)+"\n"+
			"    && ['system:serviceaccounts', 'system:serviceaccounts:' + "+username+".split(':')[2]].all(g, g in "+groups+")\n"+
			"    && !"+c.claims()+")")
	}
	if len(users) > 0 {
		found = append(found, "("+username+" in "+policy.QuoteAll(users)+"\n    && !"+c.claims()+")")
	}
	found = append(found, c.vouched()...)
	if len(found) == 0 {
		return policy.Condition("not-a-machine", "true")
	}
	return policy.Condition("not-a-machine", "!("+strings.Join(found, "\n  || ")+")")
}

// unclaimed are the user names of labguard and of the machines that show no claims: those of ServiceAccounts, and others.
func (c Config) unclaimed() (accounts, users []string) {
	names := []string{c.LabguardUser}
	for _, machine := range c.Machines {
		if machine.Issuer == "" {
			names = append(names, machine.user())
		}
	}
	for _, name := range once(names) {
		rest, isAccount := strings.CutPrefix(name, serviceAccountPrefix)
		switch {
		case isAccount && strings.Count(rest, ":") == 1:
			accounts = append(accounts, name)
		case strings.HasPrefix(name, "system:node:"): // told by its group, above
		default:
			users = append(users, name)
		}
	}
	return accounts, users
}

// vouched are expressions that are true for machines for which an issuer vouches. Claims have to be those of this issuer alone, and the issuer one that
// is configured once: the decision function knows no issuer otherwise.
func (c Config) vouched() []string {
	byIssuer := map[string][]string{}
	var issuers []string
	for _, machine := range c.Machines {
		// A name of Kubernetes' own that comes with claims contradicts itself.
		if machine.Issuer != "" && machine.User != "" && !strings.HasPrefix(machine.User, "system:") {
			byIssuer[machine.Issuer] = append(byIssuer[machine.Issuer], machine.User)
			issuers = append(issuers, machine.Issuer)
		}
	}
	var found []string
	for _, issuer := range once(issuers) {
		key, known := c.keyOf(issuer)
		if !known {
			continue
		}
		others := slices.DeleteFunc(c.issuerKeys(), func(other string) bool { return other == key })
		found = append(found, "("+username+" in "+policy.QuoteAll(once(byIssuer[issuer]))+"\n"+
			"    && "+extra+"[?"+policy.Quote(key)+"].orValue([]) == ["+policy.Quote(issuer)+"]\n"+
			"    && !"+policy.QuoteAll(others)+".exists(k, k in "+extra+"))")
	}
	return found
}

// keyOf is the key under which an issuer arrives. It is false unless exactly one provider is this issuer.
func (c Config) keyOf(issuer string) (string, bool) {
	var key string
	found := 0
	for _, provider := range c.Providers {
		if provider.Issuer == issuer {
			key = provider.issuerKey()
			found++
		}
	}
	return key, found == 1
}
