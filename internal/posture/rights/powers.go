// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"cmp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// power is one thing that goes around the gate: verbs on a resource, where it matters and for which names.
type power struct {
	reason   Reason
	group    string
	resource string
	verbs    []string
	where    scope
	names    naming
	// beside is what the same holder has to be able to write, in the same namespace, for the power to be one; empty: nothing.
	beside string
}

// scope says in which namespaces a power matters.
type scope int

const (
	// clusterWide is of resources without a namespace: a RoleBinding grants nothing.
	clusterWide scope = iota
	inGoverned
	// withMachines is the namespaces of listed machines, and kube-system.
	withMachines
	inGovernedOrWithMachines
)

// naming says which resourceNames of a rule leave the power dangerous. A rule without resourceNames always does.
type naming int

const (
	anyName naming = iota
	// noName is of creating objects: the authorizer does not know the name yet, so a rule with resourceNames grants nothing.
	noName
	// ofMachine is names of listed accounts in the namespace.
	ofMachine
	// ofUser is user names that are never asked: listed machines, and Kubernetes' own.
	ofUser
	// ofGroup is the group for break glass, and Kubernetes' own.
	ofGroup
	// ofSigner is the signers whose certificates the API server takes for clients', and ofNodeSigner those of nodes.
	ofSigner
	ofNodeSigner
	// ofRole is the ClusterRoles that grant something that is looked for.
	ofRole
	// ofStar is the name "*" alone: see starredExtras.
	ofStar
	// ofEveryNode is any node, which the authorizer asks for by the name "*".
	ofEveryNode
)

const (
	authentication = "authentication.k8s.io"
	certificates   = "certificates.k8s.io"
	rbacGroup      = rbacv1.GroupName
	// clusterRoles and so on are the resources of rbacGroup.
	clusterRoles, clusterBindings, roles, bindings = "clusterroles", "clusterrolebindings", "roles", "rolebindings"
	// impersonate is the verb of all versions; the others are of constrained impersonation (KEP-5284, on by default since Kubernetes 1.36). Beside
	// these, a request needs impersonate-on:<mode>:<verb>, which alone gives nothing, so that the verb of the identity is what is looked for.
	impersonate         = "impersonate"
	impersonateUserInfo = "impersonate:user-info"
	impersonateAccount  = "impersonate:serviceaccount"
	impersonateNode     = "impersonate:arbitrary-node"
	impersonateOwnNode  = "impersonate:associated-node"
)

// powersFor is the table of what is looked for, the most telling of each reason first.
func powersFor(in Input) []power {
	keys := in.ClaimKeys
	if len(keys) == 0 {
		keys = DefaultClaimKeys()
	}
	return slices.Concat(forging(keys), becomingMachine(), beyondAdmission(), writing())
}

// forging is saying of oneself what only the identity provider, or the holder of a sealed certificate, should.
func forging(keys []string) []power {
	both := []string{impersonate, impersonateUserInfo}
	var found []power
	for _, key := range keys {
		found = append(found, power{reason: ClaimsForgeable, group: authentication, resource: "userextras/" + key, verbs: both})
	}
	// starredExtras: with four values or more, constrained impersonation asks once for the subresource "*" and the name "*". RBAC has no wildcard
	// after a slash, so the old verb on userextras/* grants nothing.
	starredExtras := power{reason: ClaimsForgeable, group: authentication, resource: "userextras/*", verbs: []string{impersonateUserInfo}, names: ofStar}
	return append(found, starredExtras,
		power{reason: ClaimsForgeable, resource: "groups", verbs: []string{impersonate}, names: ofGroup},
		power{reason: ClaimsForgeable, group: authentication, resource: "groups", verbs: []string{impersonateUserInfo}, names: ofGroup},
		// A certificate for clients carries its groups in its subject: whoever approves or signs one can give it the group for break glass.
		power{reason: ClaimsForgeable, group: certificates, resource: "signers", verbs: []string{"approve", "sign"}, names: ofSigner},
		power{reason: ClaimsForgeable, group: authentication, resource: "uids", verbs: both},
	)
}

// becomingMachine is acting as an account that is never asked: directly, by its token, or by a pod that runs as it.
func becomingMachine() []power {
	change := []string{"create", "update", "patch"}
	found := []power{
		{resource: "serviceaccounts", verbs: []string{impersonate}, where: withMachines, names: ofMachine},
		{group: authentication, resource: "serviceaccounts", verbs: []string{impersonateAccount}, where: withMachines, names: ofMachine},
		{resource: "serviceaccounts/token", verbs: []string{"create"}, where: withMachines, names: ofMachine},
		{resource: "users", verbs: []string{impersonate}, names: ofUser},
		{group: authentication, resource: "users", verbs: []string{impersonateUserInfo}, names: ofUser},
		// A node may ask for tokens of the accounts of its pods.
		{group: authentication, resource: "nodes", verbs: []string{impersonateNode}},
		{group: authentication, resource: "nodes", verbs: []string{impersonateOwnNode}, names: ofEveryNode},
		{resource: "pods", verbs: change[:1], where: withMachines, names: noName},
		// As kubectl set image does: the other image runs with the token of the pod.
		{resource: "pods", verbs: change[1:], where: withMachines},
		{resource: "pods/exec", verbs: []string{"create", "get"}, where: withMachines},
		{resource: "pods/attach", verbs: []string{"create", "get"}, where: withMachines},
		{resource: "pods/ephemeralcontainers", verbs: []string{"update", "patch"}, where: withMachines},
		// A Secret of the type service-account-token is filled with a token by the control plane.
		{resource: "secrets", verbs: []string{"get", "list", "watch"}, where: withMachines},
	}
	for _, kind := range []struct{ group, resource string }{
		{"apps", "deployments"}, {"apps", "statefulsets"}, {"apps", "daemonsets"}, {"apps", "replicasets"},
		{"batch", "jobs"}, {"batch", "cronjobs"}, {"", "replicationcontrollers"},
	} {
		// One verb a power: creating has no name yet, updating has.
		found = append(found, power{group: kind.group, resource: kind.resource, verbs: change[:1], where: withMachines, names: noName},
			power{group: kind.group, resource: kind.resource, verbs: change[1:], where: withMachines})
	}
	found = append(append(found, becomingNode()...), becomingByRole()...)
	for i := range found {
		found[i].reason = MachineIdentityClaimable
	}
	return found
}

// becomingNode is getting a certificate of system:node:<name>, by approving it oneself or because the control plane does for whoever may create
// certificatesigningrequests/nodeclient. selfnodeclient is nothing: only the node itself has its renewal approved by that.
func becomingNode() []power {
	return []power{
		{group: certificates, resource: "signers", verbs: []string{"approve", "sign"}, names: ofNodeSigner},
		{group: certificates, resource: "certificatesigningrequests/nodeclient", verbs: []string{"create"}, names: noName},
	}
}

// becomingByRole is granting oneself what is above. No admission of labguard's sees it, in the namespaces of machines as little as cluster-wide.
func becomingByRole() []power {
	return []power{
		{group: rbacGroup, resource: clusterRoles, verbs: []string{"bind"}, where: withMachines, names: ofRole, beside: bindings},
		{group: rbacGroup, resource: clusterRoles, verbs: []string{"bind"}, names: ofRole, beside: clusterBindings},
		{group: rbacGroup, resource: roles, verbs: []string{"bind"}, where: withMachines, beside: bindings},
		{group: rbacGroup, resource: clusterRoles, verbs: []string{"escalate"}, beside: clusterRoles},
		{group: rbacGroup, resource: roles, verbs: []string{"escalate"}, where: withMachines, beside: roles},
	}
}

// writing is what other powers need beside them. It is no finding itself, and has no reason.
func writing() []power {
	var needed []power
	for _, resource := range []string{bindings, clusterBindings, roles, clusterRoles} {
		where := clusterWide
		if resource == bindings || resource == roles {
			where = withMachines
		}
		needed = append(needed, power{group: rbacGroup, resource: resource, verbs: []string{"create"}, where: where, names: noName},
			power{group: rbacGroup, resource: resource, verbs: []string{"update", "patch"}, where: where})
	}
	return needed
}

// beyondAdmission is what no admission sees, and what grants the rest.
func beyondAdmission() []power {
	return []power{
		{reason: NodesProxy, resource: "nodes/proxy", verbs: []string{"get", "create", "update", "patch", "delete"}},
		{reason: RolesEscalatable, group: rbacGroup, resource: clusterRoles, verbs: []string{"escalate"}},
		{reason: RolesEscalatable, group: rbacGroup, resource: clusterRoles, verbs: []string{"bind"}, where: inGovernedOrWithMachines},
		{reason: RolesEscalatable, group: rbacGroup, resource: roles, verbs: []string{"escalate", "bind"}, where: inGovernedOrWithMachines},
		{reason: SecretsReadable, resource: "secrets", verbs: []string{"get", "list", "watch"}, where: inGoverned},
	}
}

// place is the namespaces and the names that matter.
type place struct {
	governed   map[string]bool
	accounts   map[string]map[string]bool
	machines   map[Subject]bool
	users      map[string]bool
	breakGlass string
	// telling is the ClusterRoles that grant something that is looked for.
	telling map[string]bool
}

func newPlace(in Input) place {
	p := place{
		governed:   map[string]bool{},
		accounts:   map[string]map[string]bool{systemNamespace: {}},
		machines:   map[Subject]bool{},
		users:      map[string]bool{},
		telling:    map[string]bool{},
		breakGlass: cmp.Or(in.BreakGlass, v1alpha1.BreakGlassGroup),
	}
	for _, namespace := range in.Governed {
		p.governed[namespace] = true
	}
	for _, machine := range in.Machines {
		subject := machine.subject()
		p.machines[subject] = true
		if subject.Kind == rbacv1.UserKind {
			p.users[subject.Name] = true
			continue
		}
		if p.accounts[subject.Namespace] == nil {
			p.accounts[subject.Namespace] = map[string]bool{}
		}
		p.accounts[subject.Namespace][subject.Name] = true
	}
	return p
}

// passesAnyway says whether the holder gains nothing: a machine that forges claims or becomes another machine is still not asked.
func (p place) passesAnyway(subject Subject, reason Reason) bool {
	if reason != ClaimsForgeable && reason != MachineIdentityClaimable {
		return false
	}
	return p.machines[subject] || subject.system() || subject == Subject{Kind: rbacv1.GroupKind, Name: p.breakGlass}
}

// reaches says whether a grant through a binding in a namespace (none: everywhere) goes around the gate.
func (p place) reaches(power *power, g grant, namespace string) bool {
	return p.matters(power.where, namespace) && (g.names == nil || p.named(power.names, g.names, namespace))
}

func (p place) matters(where scope, namespace string) bool {
	governed, machines := p.governed[namespace], p.accounts[namespace] != nil
	if namespace == "" {
		governed, machines = len(p.governed) > 0, true
	}
	switch where {
	case inGoverned:
		return governed
	case withMachines:
		return machines
	case inGovernedOrWithMachines:
		return governed || machines
	case clusterWide:
	}
	return namespace == ""
}

// named says whether one of the resourceNames leaves the power dangerous.
func (p place) named(rule naming, names []string, namespace string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		switch rule {
		case noName:
			return false
		case ofMachine:
			// Every account of kube-system passes, and a ClusterRoleBinding holds there too.
			return namespace == "" || namespace == systemNamespace || p.accounts[namespace][name]
		case ofUser:
			return p.users[name] || strings.HasPrefix(name, systemPrefix) && !strings.HasPrefix(name, accountPrefix)
		case ofGroup:
			return name == p.breakGlass || strings.HasPrefix(name, systemPrefix)
		case ofSigner, ofNodeSigner:
			return slices.Contains(signers(rule), name)
		case ofRole:
			return p.telling[name]
		case ofStar, ofEveryNode:
			return name == "*"
		case anyName:
		}
		return true
	})
}

// signers are the names by which the signer of client certificates, or that of nodes' certificates, is allowed.
func signers(rule naming) []string {
	one := "kubernetes.io/kube-apiserver-client"
	if rule == ofNodeSigner {
		one = "kubernetes.io/kube-apiserver-client-kubelet"
	}
	return []string{one, "kubernetes.io/*"}
}
