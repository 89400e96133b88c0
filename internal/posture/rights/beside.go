// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import rbacv1 "k8s.io/api/rbac/v1"

// writer is a holder that may write a resource of RBAC in a namespace (none: everywhere).
type writer struct {
	subject   Subject
	resource  string
	namespace string
}

// noteWriting notes who may write what powers need beside them. Whoever is trusted is noted too: the power is what is looked for.
func (s *search) noteWriting(b Binding, subjects []rbacv1.Subject) {
	for _, g := range s.role(b).grants {
		p := &s.powers[g.power]
		if p.reason != "" || !s.place.reaches(p, g, b.Namespace) {
			continue
		}
		for _, named := range subjects {
			if subject, ok := subjectOf(named, b.Namespace); ok {
				s.writers[writer{subject, p.resource, b.Namespace}] = true
			}
		}
	}
}

// writes says whether the holder of a power in a namespace (none: everywhere) may write what the power needs, there or in a namespace of machines.
// What it may through a group that has a rule of its own counts; in which other groups it is, nobody can know here.
func (s *search) writes(subject Subject, p *power, namespace string) bool {
	namespaces := []string{"", namespace}
	if namespace == "" && p.beside != clusterBindings && p.beside != clusterRoles {
		for machines := range s.place.accounts {
			namespaces = append(namespaces, machines)
		}
	}
	for _, holder := range append(subject.groups(), subject) {
		for _, there := range namespaces {
			if s.writers[writer{holder, p.beside, there}] {
				return true
			}
		}
	}
	return false
}

// groups are those that the API server puts a holder into; of people that of OAuth too, as nobody can know here how they log in.
func (s Subject) groups() []Subject {
	if s.Kind == rbacv1.UserKind && s.Broad() {
		return []Subject{{Kind: rbacv1.GroupKind, Name: "system:unauthenticated"}}
	}
	groups := []Subject{{Kind: rbacv1.GroupKind, Name: everybody}}
	if s.Kind == rbacv1.ServiceAccountKind {
		return append(groups, Subject{Kind: rbacv1.GroupKind, Name: "system:serviceaccounts"}, Subject{Kind: rbacv1.GroupKind, Name: accountsPrefix + s.Namespace})
	}
	return append(groups, Subject{Kind: rbacv1.GroupKind, Name: everybodyPrefix + "oauth"})
}
