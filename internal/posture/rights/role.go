// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// grant is a power that a rule gives.
type grant struct {
	power int
	verb  string
	// names is the rule's resourceNames; nil means every name.
	names []string
}

// role is what a role grants of the powers, in their order.
type role struct {
	grants []grant
	// everything says that one rule allows every verb on every resource.
	everything bool
	// paired says that one of the grants counts beside another right of its holder only.
	paired bool
}

// compile reads the rules of one role. A rule costs the same whatever the number of bindings.
func compile(powers []power, rules []rbacv1.PolicyRule) role {
	var compiled role
	for i := range rules {
		rule := &rules[i]
		if len(rule.Resources) == 0 || len(rule.Verbs) == 0 {
			continue
		}
		all := slices.Contains(rule.Verbs, rbacv1.VerbAll) && slices.Contains(rule.APIGroups, rbacv1.APIGroupAll) &&
			slices.Contains(rule.Resources, rbacv1.ResourceAll)
		compiled.everything = compiled.everything || all && len(rule.ResourceNames) == 0
		for at := range powers {
			if verb := grantedVerb(rule, &powers[at]); verb != "" {
				compiled.paired = compiled.paired || powers[at].beside != ""
				compiled.grants = append(compiled.grants, grant{power: at, verb: verb, names: namesOf(rule)})
			}
		}
	}
	compiled.sort()
	return compiled
}

// sort brings equal powers together, those of every name first, so that the answer does not depend on the order of the rules.
func (r *role) sort() {
	slices.SortStableFunc(r.grants, func(a, b grant) int {
		return cmp.Or(cmp.Compare(a.power, b.power), cmp.Compare(a.verb, b.verb), slices.Compare(a.names, b.names))
	})
}

func namesOf(rule *rbacv1.PolicyRule) []string {
	if len(rule.ResourceNames) == 0 {
		return nil
	}
	return rule.ResourceNames
}

// grantedVerb is the first verb of the power that the rule allows, or empty. It matches as the RBAC authorizer does.
func grantedVerb(rule *rbacv1.PolicyRule, p *power) string {
	if !slices.Contains(rule.APIGroups, p.group) && !slices.Contains(rule.APIGroups, rbacv1.APIGroupAll) {
		return ""
	}
	_, subresource, _ := strings.Cut(p.resource, "/")
	covered := slices.ContainsFunc(rule.Resources, func(resource string) bool {
		return resource == rbacv1.ResourceAll || resource == p.resource || subresource != "" && resource == "*/"+subresource
	})
	if !covered {
		return ""
	}
	for _, verb := range p.verbs {
		if slices.Contains(rule.Verbs, verb) || slices.Contains(rule.Verbs, rbacv1.VerbAll) {
			return verb
		}
	}
	return ""
}

// compileClusterRoles reads the cluster's roles. An aggregated role has the sum in its rules once the control plane has written it; its selectors
// are followed too, so that a role that was labelled a moment ago counts.
func (s *search) compileClusterRoles(roles []rbacv1.ClusterRole) {
	for i := range roles {
		s.cluster[roles[i].Name] = compile(s.powers, roles[i].Rules)
	}
	sums := map[string]role{}
	for i := range roles {
		if roles[i].AggregationRule != nil {
			sums[roles[i].Name] = s.sum(&roles[i], roles)
		}
	}
	maps.Copy(s.cluster, sums)
	for name, role := range s.cluster {
		s.place.telling[name] = slices.ContainsFunc(role.grants, func(g grant) bool { return s.powers[g.power].reason != "" })
	}
}

// sum is an aggregated role together with the roles that its selectors choose.
func (s *search) sum(into *rbacv1.ClusterRole, roles []rbacv1.ClusterRole) role {
	var selectors []labels.Selector
	for i := range into.AggregationRule.ClusterRoleSelectors {
		// The control plane does not aggregate by a selector that it cannot read either.
		if selector, err := metav1.LabelSelectorAsSelector(&into.AggregationRule.ClusterRoleSelectors[i]); err == nil {
			selectors = append(selectors, selector)
		}
	}
	own := s.cluster[into.Name]
	sum := role{grants: slices.Clone(own.grants), everything: own.everything, paired: own.paired}
	for i := range roles {
		chosen := slices.ContainsFunc(selectors, func(selector labels.Selector) bool { return selector.Matches(labels.Set(roles[i].Labels)) })
		if part := s.cluster[roles[i].Name]; chosen && roles[i].Name != into.Name && len(part.grants) > 0 {
			sum.grants = append(sum.grants, part.grants...)
			sum.everything = sum.everything || part.everything
			sum.paired = sum.paired || part.paired
		}
	}
	sum.sort()
	return sum
}
