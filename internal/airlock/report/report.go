// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package report

import "time"

const (
	// Path is where the report is read.
	Path = "/report"
	// MaxBytes is the largest report that is read.
	MaxBytes = 1 << 20
	// MaxPeers is how many plaintext peers are named; UndeclaredTotal counts all.
	MaxPeers = 64
	// MaxConnections is how many pairs of a peer and a root are named.
	MaxConnections = 1024
)

// Report is the whole document.
type Report struct {
	// Now is airlock's clock, Started when it began to watch.
	Now     time.Time `json:"now"`
	Started time.Time `json:"started"`
	// Image is how airlock was built: its version.
	Build string `json:"build,omitempty"`
	// Configuration is the SHA-256 (hexadecimal) of the configuration in use, "" without one; ConfigurationError says why a newer one is not used.
	Configuration      string `json:"configuration,omitempty"`
	ConfigurationError string `json:"configurationError,omitempty"`
	// Identity is what it shows to peers; nil: NoIdentity.
	Identity *Identity `json:"identity,omitempty"`
	// IdentityError says why a newer certificate is not used, or why there is none.
	IdentityError string `json:"identityError,omitempty"`
	// Bundles are the SHA-256 fingerprints (hexadecimal, sorted) of the roots by trust domain, Authorities by external authority.
	Bundles     map[string][]string `json:"bundles,omitempty"`
	Authorities map[string][]string `json:"authorities,omitempty"`
	// Ports is what was seen at the ports of the application.
	Ports []Port `json:"ports,omitempty"`
	// Unattributed counts connections that the pod has accepted and that were over before anybody saw who it was.
	Unattributed int64 `json:"unattributed,omitempty"`
	// Connections counts the live connections by peer and by the root that vouches for it. At most MaxConnections are named, at least one for each root;
	// ConnectionsLeftOut is how many more there are.
	Connections        []Connections `json:"connections,omitempty"`
	ConnectionsLeftOut int           `json:"connectionsLeftOut,omitempty"`
	// Upstreams is what the client half did.
	Upstreams []Upstream `json:"upstreams,omitempty"`
	// ListenErrors says which listeners could not be opened, such as an address that the application itself uses.
	ListenErrors []string `json:"listenErrors,omitempty"`
}

// Identity is a certificate.
type Identity struct {
	ID        string    `json:"id"`
	Serial    string    `json:"serial"`
	NotBefore time.Time `json:"notBefore"`
	NotAfter  time.Time `json:"notAfter"`
	// Root is the SHA-256 fingerprint of the root that it chains to; "" if none of the bundle does.
	Root string `json:"root,omitempty"`
}

// Port is what was seen at one port of the application.
type Port struct {
	Port int `json:"port"`
	// Listening is where the application listens: "" (nowhere), "Loopback" or "Node" (an address that other programs of the node reach as well).
	Listening string `json:"listening,omitempty"`
	// Undeclared are the latest plaintext peers that no declaration names, at most MaxPeers; UndeclaredTotal is how many there were.
	Undeclared      []PlaintextPeer `json:"undeclared,omitempty"`
	UndeclaredTotal int64           `json:"undeclaredTotal,omitempty"`
	// Kubelet counts connections of the node to a port that it probes, Declared those of declared plaintext peers.
	Kubelet  int64 `json:"kubelet,omitempty"`
	Declared int64 `json:"declared,omitempty"`
	// Secure counts the accepted mutual TLS connections, Refused those that were refused.
	Secure  int64 `json:"secure,omitempty"`
	Refused int64 `json:"refused,omitempty"`
}

// Listening values of a Port.
const (
	Loopback = "Loopback"
	Node     = "Node"
)

// PlaintextPeer is an address that spoke to the application without airlock.
type PlaintextPeer struct {
	Address  string    `json:"address"`
	LastSeen time.Time `json:"lastSeen"`
}

// Connections counts live connections.
type Connections struct {
	// Peer is the SPIFFE ID, or the fingerprint of an external certificate.
	Peer string `json:"peer"`
	// Root is the SHA-256 fingerprint of the root under which the peer was verified.
	Root string `json:"root"`
	// Count is how many there are.
	Count int `json:"count"`
}

// Upstream is what the client half did for one upstream.
type Upstream struct {
	Name string `json:"name"`
	// Secure counts connections over mutual TLS, Plaintext those that fell back, Failed those that were refused, and LastPlaintext is when the last one fell back.
	Secure        int64      `json:"secure,omitempty"`
	Plaintext     int64      `json:"plaintext,omitempty"`
	Failed        int64      `json:"failed,omitempty"`
	LastPlaintext *time.Time `json:"lastPlaintext,omitempty"`
	// LastHandshake is when the latest connection over mutual TLS began that the other side has let in.
	LastHandshake *time.Time `json:"lastHandshake,omitempty"`
	// LastError is one word for the last failure.
	LastError string `json:"lastError,omitempty"`
}
