// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import "time"

// Kind says what sort of user sends a request. It follows from the user name alone; Problems say where the groups contradict it.
type Kind string

const (
	// KindPerson is whoever is none of the others.
	KindPerson Kind = "Person"
	// KindServiceAccount is system:serviceaccount:<namespace>:<name>.
	KindServiceAccount Kind = "ServiceAccount"
	// KindNode is system:node:<name>.
	KindNode Kind = "Node"
	// KindSystem is any other user name that begins with "system:".
	KindSystem Kind = "System"
)

// Person is what the API server says of the user of one request, read and bounded (internal/identity). The zero value is a person of whom nothing is
// known. A value that could not be read is empty, and Problems say why.
type Person struct {
	// User and Groups are as the API server gives them.
	User   string
	Groups []string
	// Kind is what sort of user it is; empty counts as a person.
	Kind Kind
	// Namespace and Name are those of a ServiceAccount; Name is the one of a node.
	Namespace, Name string
	// Claims says that the login brought any of labguard's keys, readable or not.
	Claims bool
	// Issuer is the OpenID Connect issuer that the claims name.
	Issuer string
	// Subject is the value of the claim by which the issuer's IdentityProvider tells people apart. It is compared byte by byte.
	Subject string
	// Methods are the authentication methods (amr, RFC 8176), sorted, each once.
	Methods []string
	// Context is the authentication context class (acr).
	Context string
	// AuthTime is when the person has logged in (auth_time); zero if that is not known.
	AuthTime time.Time
	// Problems say what could not be read, one line each, without whole values.
	Problems []string
}

// machine says whether the user is anything but a person.
func (p *Person) machine() bool {
	return p.Kind != KindPerson && p.Kind != ""
}

// contradicts says whether somebody has the name of a machine together with claims of a login, or without the groups that go with such a name: a
// token of a ServiceAccount has no claims, and a login that may choose its user name proves nothing by it.
func (p *Person) contradicts() bool {
	return p.machine() && (p.Claims || len(p.Problems) > 0)
}
