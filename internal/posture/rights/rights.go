// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"cmp"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Reason says what a finding lets its holder do. The values are reasons of conditions.
type Reason string

const (
	// ClusterAdmin may do everything. It is said once for a holder, and nothing else about what that holder may, unless it is everybody: see Subject.Broad.
	ClusterAdmin Reason = v1alpha1.ReasonClusterAdmin
	// ClaimsForgeable may say of itself what only the identity provider should: a second factor, another person, break glass.
	ClaimsForgeable Reason = v1alpha1.ReasonClaimsForgeable
	// MachineIdentityClaimable may act as an account that is never asked for a second factor.
	MachineIdentityClaimable Reason = v1alpha1.ReasonMachineIdentityClaimable
	// NodesProxy may reach every container through the kubelet, where there is neither admission nor audit.
	NodesProxy Reason = v1alpha1.ReasonNodesProxy
	// RolesEscalatable may grant rights that it does not hold.
	RolesEscalatable Reason = v1alpha1.ReasonRolesEscalatable
	// SecretsReadable may read Secrets of a governed namespace, which no admission sees.
	SecretsReadable Reason = v1alpha1.ReasonSecretsReadable
)

// Reasons is every reason, the worst first. Findings are in this order.
func Reasons() []Reason {
	return []Reason{ClusterAdmin, ClaimsForgeable, MachineIdentityClaimable, NodesProxy, RolesEscalatable, SecretsReadable}
}

// DefaultLimit bounds the findings of one reason.
const DefaultLimit = 50

// DefaultClaimKeys is the keys of userInfo.extra in which claims arrive, unless an IdentityProvider names others.
func DefaultClaimKeys() []string {
	return []string{v1alpha1.ClaimIssuer, v1alpha1.ClaimMethods, v1alpha1.ClaimContext, v1alpha1.ClaimAuthTime, v1alpha1.ClaimSubject}
}

// Machine is an account that the operator's configuration lists: a ServiceAccount, or a user by name.
type Machine struct {
	// User is the user name; empty for a ServiceAccount.
	User string
	// Namespace and Name are the ServiceAccount's.
	Namespace, Name string
}

// Input is what is looked at.
type Input struct {
	ClusterRoles        []rbacv1.ClusterRole
	Roles               []rbacv1.Role
	ClusterRoleBindings []rbacv1.ClusterRoleBinding
	RoleBindings        []rbacv1.RoleBinding
	// Governed is the namespaces in which a LabWorkload governs pods.
	Governed []string
	// Machines is the listed machines. The accounts of kube-system are never asked either and need no entry.
	Machines []Machine
	// Trusted is holders that the operator's configuration accepts. Nobody can accept everybody: see Subject.Broad.
	Trusted []Subject
	// Own is labguard's own user name, or empty. It may change workloads everywhere, so that its canary of the rollout gate can, and is accepted. It is not
	// asked for a login either, and so is a machine like those that are listed: whoever may become it is found.
	Own string
	// ClaimKeys is the keys of userInfo.extra in which claims arrive. Empty means DefaultClaimKeys.
	ClaimKeys []string
	// BreakGlass is the group that is never asked. Empty means v1alpha1.BreakGlassGroup.
	BreakGlass string
	// Limit bounds the findings of each reason. Zero means DefaultLimit.
	Limit int
}

// Binding names what grants a right: Namespace is empty for a ClusterRoleBinding.
type Binding struct {
	Namespace, Name string
	// RoleKind and RoleName are what it binds to.
	RoleKind, RoleName string
}

// Finding is a holder of rights that go around the gate, through one binding.
type Finding struct {
	Reason  Reason
	Subject Subject
	// Binding is empty where the finding is not about RBAC: a machine that lives in a governed namespace.
	Binding Binding
	// Namespace is where the right holds; empty means everywhere.
	Namespace string
	// Verb and Resource are the most telling right of this reason, as in `kubectl auth can-i`.
	Verb, Resource string
	// Others counts further rights of the same reason through the same binding.
	Others int
}

// Report is the findings, bounded for each reason.
type Report struct {
	// Findings is sorted by reason (the worst first), holder and binding.
	Findings []Finding
	// Rest counts, for each reason, the findings that were left out.
	Rest map[Reason]int
}

// Has says whether anything was found for a reason. The bound never hides a reason altogether.
func (r Report) Has(reason Reason) bool {
	return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Reason == reason })
}

// Count is how many findings there are for a reason, those that were left out included.
func (r Report) Count(reason Reason) int {
	count := r.Rest[reason]
	for _, found := range r.Findings {
		if found.Reason == reason {
			count++
		}
	}
	return count
}

// Find gives the findings. It looks at every rule once, and at every binding twice: for what powers need beside them, and for the powers.
func Find(in Input) Report {
	if in.Own != "" {
		own := Machine{User: in.Own}
		in.Machines, in.Trusted = append(slices.Clone(in.Machines), own), append(slices.Clone(in.Trusted), own.subject())
	}
	s := newSearch(in)
	s.each(&in, s.noteWriting)
	s.each(&in, s.look)
	s.misplaced(in.Machines)
	return s.report(in.Limit)
}

// search is one run of Find.
type search struct {
	place   place
	powers  []power
	cluster map[string]role
	local   map[namespaced]role
	trusted map[Subject]bool
	writers map[writer]bool
	found   []Finding
}

// each visits what every binding binds.
func (s *search) each(in *Input, visit func(Binding, []rbacv1.Subject)) {
	for i := range in.ClusterRoleBindings {
		bound := &in.ClusterRoleBindings[i]
		visit(Binding{Name: bound.Name, RoleKind: bound.RoleRef.Kind, RoleName: bound.RoleRef.Name}, bound.Subjects)
	}
	for i := range in.RoleBindings {
		bound := &in.RoleBindings[i]
		visit(Binding{Namespace: bound.Namespace, Name: bound.Name, RoleKind: bound.RoleRef.Kind, RoleName: bound.RoleRef.Name}, bound.Subjects)
	}
}

type namespaced struct{ namespace, name string }

func newSearch(in Input) *search {
	s := &search{
		place:   newPlace(in),
		powers:  powersFor(in),
		cluster: make(map[string]role, len(in.ClusterRoles)),
		local:   make(map[namespaced]role, len(in.Roles)),
		trusted: make(map[Subject]bool, len(in.Trusted)),
		writers: map[writer]bool{},
	}
	for _, subject := range in.Trusted {
		s.trusted[subject.canonical()] = true
	}
	s.compileClusterRoles(in.ClusterRoles)
	for i := range in.Roles {
		s.local[namespaced{in.Roles[i].Namespace, in.Roles[i].Name}] = compile(s.powers, in.Roles[i].Rules)
	}
	return s
}

// role gives what a binding binds to. A role that does not exist grants nothing.
func (s *search) role(b Binding) role {
	switch {
	case b.RoleKind == "ClusterRole":
		return s.cluster[b.RoleName]
	case b.Namespace != "":
		return s.local[namespaced{b.Namespace, b.RoleName}]
	}
	return role{}
}

// look finds what one binding grants to each of its subjects.
func (s *search) look(b Binding, subjects []rbacv1.Subject) {
	bound := s.role(b)
	if len(bound.grants) == 0 {
		return
	}
	var rights []Finding
	for i, named := range subjects {
		subject, ok := subjectOf(named, b.Namespace)
		if i == 0 || bound.paired {
			rights = s.held(bound, b, subject)
		}
		if !ok || s.trusted[subject] && !subject.Broad() || subject.builtIn(b) {
			continue
		}
		for _, right := range rights {
			if !s.place.passesAnyway(subject, right.Reason) {
				right.Subject = subject
				s.found = append(s.found, right)
			}
		}
	}
}

// held is one finding without its subject for each reason for which the binding grants something. Who the subject is matters to paired roles alone, of
// which a role that grants everything is one.
func (s *search) held(bound role, b Binding, subject Subject) []Finding {
	var rights []Finding
	if bound.everything && b.Namespace == "" {
		rights = append(rights, Finding{Reason: ClusterAdmin, Binding: b, Verb: rbacv1.VerbAll, Resource: rbacv1.ResourceAll})
		if !subject.Broad() {
			return rights
		}
	}
	last := -1
	for _, g := range bound.grants {
		p := &s.powers[g.power]
		if p.reason == "" || g.power == last || !s.place.reaches(p, g, b.Namespace) || p.beside != "" && !s.writes(subject, p, b.Namespace) {
			continue
		}
		last = g.power
		at := slices.IndexFunc(rights, func(f Finding) bool { return f.Reason == p.reason })
		if at >= 0 {
			rights[at].Others++
			continue
		}
		rights = append(rights, Finding{Reason: p.reason, Binding: b, Namespace: b.Namespace, Verb: g.verb, Resource: p.resource})
	}
	return rights
}

// misplaced finds listed machines that live where people of a LabWorkload have rights by design.
func (s *search) misplaced(machines []Machine) {
	for _, machine := range machines {
		subject := machine.subject()
		if subject.Kind == rbacv1.ServiceAccountKind && s.place.governed[subject.Namespace] {
			s.found = append(s.found, Finding{Reason: MachineIdentityClaimable, Subject: subject, Namespace: subject.Namespace})
		}
	}
}

// report sorts, says each thing once and bounds.
func (s *search) report(limit int) Report {
	if limit <= 0 {
		limit = DefaultLimit
	}
	rank := map[Reason]int{}
	for i, reason := range Reasons() {
		rank[reason] = i
	}
	slices.SortFunc(s.found, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(rank[a.Reason], rank[b.Reason]), a.Subject.compare(b.Subject), a.Binding.compare(b.Binding),
			cmp.Compare(a.Namespace, b.Namespace))
	})
	report, kept := Report{Rest: map[Reason]int{}}, map[Reason]int{}
	admins := map[Subject]bool{}
	for i, found := range s.found {
		switch {
		case i > 0 && found == s.found[i-1], admins[found.Subject] && found.impliedByAdmin():
			continue
		case found.Reason == ClusterAdmin:
			admins[found.Subject] = true
		}
		if kept[found.Reason] == limit {
			report.Rest[found.Reason]++
			continue
		}
		kept[found.Reason]++
		report.Findings = append(report.Findings, found)
	}
	return report
}

// impliedByAdmin says whether the finding adds nothing to one of ClusterAdmin of the same holder. A few administrators may do everything by intent; that
// everybody may is a way around like any other, and that a machine lives where people have rights is nothing that the machine may.
func (f Finding) impliedByAdmin() bool {
	return f.Reason == ClusterAdmin || f.Binding != (Binding{}) && !f.Subject.Broad()
}

func (b Binding) compare(other Binding) int {
	return cmp.Or(cmp.Compare(b.Namespace, other.Namespace), cmp.Compare(b.Name, other.Name))
}
