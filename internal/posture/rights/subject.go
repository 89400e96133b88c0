// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rights

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

const (
	accountPrefix  = "system:serviceaccount:"
	accountsPrefix = "system:serviceaccounts:"
	systemPrefix   = "system:"
	// everybody is who has logged in. OpenShift puts whoever has logged in by OAuth into everybodyPrefix + "oauth" too.
	everybody, everybodyPrefix = "system:authenticated", "system:authenticated:"
	// joining is the groups of bootstrap tokens, by which nodes join.
	joining, joiningPrefix = "system:bootstrappers", "system:bootstrappers:"
	// systemNamespace is where the accounts live that are never asked.
	systemNamespace = "kube-system"
	// maxShown bounds a name in a text: a user name may be anything.
	maxShown = 128
)

// Subject is a holder of rights: a User, a Group or a ServiceAccount of a namespace.
type Subject struct {
	Kind, Namespace, Name string
}

// CertManager are the accounts of cert-manager that read Secrets everywhere, by the user name of its controller: the controller, and the cainjector under the name that
// cert-manager's chart makes of it. labguard has its certificates from them anyway.
func CertManager(user string) []Subject {
	return []Subject{{Kind: rbacv1.UserKind, Name: user}, {Kind: rbacv1.UserKind, Name: user + "-cainjector"}}
}

// Broad says whether the subject is everybody, or everything that has a ServiceAccount (of a namespace).
func (s Subject) Broad() bool {
	switch {
	case s.Kind == rbacv1.UserKind:
		return s.Name == "system:anonymous"
	case s.Kind == rbacv1.GroupKind:
		return s.Name == everybody || s.Name == "system:unauthenticated" || s.Name == "system:serviceaccounts" ||
			strings.HasPrefix(s.Name, everybodyPrefix) || strings.HasPrefix(s.Name, accountsPrefix)
	}
	return false
}

// String names the subject on one line, whatever its name is.
func (s Subject) String() string {
	name := s.Name
	if s.Namespace != "" {
		name = s.Namespace + "/" + name
	}
	if len(name) > maxShown {
		name = strings.ToValidUTF8(name[:maxShown], "") + "…"
	}
	return s.Kind + " " + strconv.Quote(name)
}

// String says the finding in one sentence, without what to do about it.
func (f Finding) String() string {
	where := "in every namespace"
	if f.Namespace != "" {
		where = "in namespace " + f.Namespace
	}
	if f.Binding == (Binding{}) {
		return fmt.Sprintf("%s is a listed machine %s, which a LabWorkload governs", f.Subject, where)
	}
	kind := "RoleBinding"
	if f.Binding.Namespace == "" {
		kind = "ClusterRoleBinding"
	}
	text := fmt.Sprintf("%s may %s %s %s through %s %s", f.Subject, f.Verb, f.Resource, where, kind, f.Binding.Name)
	if f.Others > 0 {
		text += fmt.Sprintf(", and has %d more such rights", f.Others)
	}
	return text
}

// subjectOf reads a subject of a binding as the authorizer does: an account without a namespace is one of the binding's namespace.
func subjectOf(named rbacv1.Subject, namespace string) (Subject, bool) {
	subject := Subject{Kind: named.Kind, Name: named.Name}
	switch named.Kind {
	case rbacv1.UserKind, rbacv1.GroupKind:
	case rbacv1.ServiceAccountKind:
		subject.Namespace = cmp.Or(named.Namespace, namespace)
		if subject.Namespace == "" {
			return Subject{}, false
		}
	default:
		return Subject{}, false
	}
	return subject.canonical(), true
}

// canonical writes a user that is a ServiceAccount's as that account.
func (s Subject) canonical() Subject {
	rest, isAccount := strings.CutPrefix(s.Name, accountPrefix)
	if s.Kind != rbacv1.UserKind || !isAccount {
		return s
	}
	namespace, name, ok := strings.Cut(rest, ":")
	if !ok || namespace == "" || name == "" {
		return s
	}
	return Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

// builtIn says whether this is a right that Kubernetes itself needs: of its own users and groups, or of an account of kube-system through a role
// of the control plane. What everybody holds is never built in, and of the groups only those that Kubernetes itself puts its own into: distributions
// and login webhooks give people others that begin with system:.
func (s Subject) builtIn(b Binding) bool {
	if s.Broad() && s.Name != accountsPrefix+systemNamespace {
		return false
	}
	if s.system() {
		return b.Namespace == "" && b.RoleKind == "ClusterRole" && strings.HasPrefix(b.RoleName, systemPrefix) ||
			b.Namespace == systemNamespace && strings.HasPrefix(b.RoleName, systemPrefix)
	}
	switch s.Kind {
	case rbacv1.UserKind:
		return strings.HasPrefix(s.Name, systemPrefix)
	case rbacv1.GroupKind:
		return s.Name == "system:masters" || s.Name == "system:nodes" || s.Name == joining || strings.HasPrefix(s.Name, joiningPrefix)
	}
	return false
}

// system says whether the subject is an account of kube-system, or all of them.
func (s Subject) system() bool {
	return s.Kind == rbacv1.ServiceAccountKind && s.Namespace == systemNamespace ||
		s.Kind == rbacv1.GroupKind && s.Name == accountsPrefix+systemNamespace
}

func (s Subject) compare(other Subject) int {
	return cmp.Or(cmp.Compare(s.Kind, other.Kind), cmp.Compare(s.Namespace, other.Namespace), cmp.Compare(s.Name, other.Name))
}

// subject is the machine as the holder of a right.
func (m Machine) subject() Subject {
	if m.User != "" {
		return Subject{Kind: rbacv1.UserKind, Name: m.User}.canonical()
	}
	return Subject{Kind: rbacv1.ServiceAccountKind, Namespace: m.Namespace, Name: m.Name}
}
