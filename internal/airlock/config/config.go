// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import "time"

// Names and places inside of a pod. The injection policy, its backstop and airlock agree on them.
const (
	// ContainerName is the name of the sidecar, RedirectContainerName that of the init container that sends traffic to it.
	ContainerName         = "airlock"
	RedirectContainerName = "airlock-redirect"
	// VolumeName is the one volume of the sidecar, Directory where it is mounted.
	VolumeName = "labguard-airlock"
	Directory  = "/var/run/labguard/airlock"
	// The files below Directory. Those of the identity are absent until cert-manager has issued it; a bundle may be empty.
	FileName        = "airlock.json"
	CertificateFile = "identity/tls.crt"
	KeyFile         = "identity/tls.key"
	// BundleDirectory has one PEM file for each trust domain, <trust domain>.pem; AuthorityDirectory one for each external authority, <name>.pem.
	BundleDirectory    = "trust"
	AuthorityDirectory = "authorities"
	// UserID is the user that the sidecar runs as, and nothing else in the pod.
	UserID = 64000
	// HealthPort answers the kubelet in plain HTTP with one word and no data, AdminPort answers labguard over mutual TLS, RedirectPort takes
	// redirected connections on loopback. All others are in the configuration.
	HealthPort   = 15090
	AdminPort    = 15091
	RedirectPort = 15001
	// HostIPsVariable holds the addresses of the node (status.hostIPs), from which the kubelet probes.
	HostIPsVariable = "HOST_IPS"
)

// Version is the version of the document. Airlock refuses another one and keeps what it has.
const Version = 1

// MaxBytes is the largest document that is read: what a ConfigMap can hold.
const MaxBytes = 1 << 20

// Stage is how strict a port of the pod, or an upstream, is.
type Stage string

const (
	// Permissive ports are reachable in plaintext beside mutual TLS.
	Permissive Stage = "Permissive"
	// Strict ports are reachable by mutual TLS alone.
	Strict Stage = "Strict"
)

// ClientPath is how the connections of the application reach airlock.
type ClientPath string

const (
	// HostAliases gives the names of an upstream loopback addresses on which airlock listens.
	HostAliases ClientPath = "HostAliases"
	// Redirect sends connections to airlock by rules in the network of the pod.
	Redirect ClientPath = "Redirect"
)

// Configuration is the whole document.
type Configuration struct {
	// Version is config.Version.
	Version int `json:"version"`
	// TrustDomain is the trust domain of the cluster, Identity the SPIFFE ID of this workload in it, and Operator the SPIFFE ID that may use the
	// admin port.
	TrustDomain string `json:"trustDomain"`
	Identity    string `json:"identity"`
	Operator    string `json:"operator"`
	// Ports are the ports of the application that airlock terminates TLS for.
	Ports []Port `json:"ports,omitempty"`
	// ClientPath is HostAliases or Redirect; Upstreams are what the application connects to.
	ClientPath ClientPath `json:"clientPath,omitempty"`
	Upstreams  []Upstream `json:"upstreams,omitempty"`
	// RevokedBefore refuses certificates of an identity (SPIFFE ID) that were made before an instant (their NotBefore), and ends their connections.
	RevokedBefore map[string]time.Time `json:"revokedBefore,omitempty"`
	// MaxConnections is how many connections airlock carries at once, both halves together; more are refused.
	MaxConnections int `json:"maxConnections"`
	// MaxConnectionAge in seconds ends a connection at the latest; 0: never.
	MaxConnectionAge int64 `json:"maxConnectionAgeSeconds,omitempty"`
	// ProbePorts are ports that the kubelet probes: a plaintext connection of the node to one of them is the kubelet's.
	ProbePorts []int `json:"probePorts,omitempty"`
}

// Port is a port of the application.
type Port struct {
	// Name is the name that the LabWorkload gives it.
	Name string `json:"name"`
	// Port is where the application listens, ListenPort where airlock does.
	Port       int `json:"port"`
	ListenPort int `json:"listenPort"`
	// Stage of the port. It decides nothing in airlock but what a plaintext connection is called.
	Stage Stage `json:"stage"`
	// MinTLSVersion is "1.2" or "1.3".
	MinTLSVersion string `json:"minTLSVersion"`
	// Peers may connect. None: nobody.
	Peers []Peer `json:"peers,omitempty"`
	// PlaintextPeers are address blocks from which plaintext is declared, such as a scraper's; connections from elsewhere are undeclared.
	PlaintextPeers []string `json:"plaintextPeers,omitempty"`
}

// Peer is who may connect: exactly one of ID, Pattern, Fingerprint and DNSName.
type Peer struct {
	// ID is one SPIFFE ID, Pattern one in which "*" stands for exactly one whole path segment, and which never matches in TrustDomain.
	ID      string `json:"id,omitempty"`
	Pattern string `json:"pattern,omitempty"`
	// Fingerprint is the SHA-256 of the leaf certificate in lower-case hexadecimal, DNSName a DNS name in it.
	Fingerprint string `json:"sha256,omitempty"`
	DNSName     string `json:"dnsName,omitempty"`
	// Authority names the external authority under which the certificate must chain. Required for Fingerprint and DNSName, optional for Pattern, and absent
	// for ID, whose trust domain chooses the bundle.
	Authority string `json:"authority,omitempty"`
	// CIDRs, if given, are address blocks that the connection must come from as well.
	CIDRs []string `json:"cidrs,omitempty"`
}

// Upstream is one port of another workload that the application connects to.
type Upstream struct {
	// Name is <namespace>/<LabWorkload>/<port name>, for logs and metrics.
	Name string `json:"name"`
	// Listen is where airlock listens for the application: a loopback address and a port. Empty with Redirect.
	Listen string `json:"listen,omitempty"`
	// Destinations are the addresses and ports that Redirect takes for this upstream: the Service as the application knows it.
	Destinations []string `json:"destinations,omitempty"`
	// Secure is the address and port of the companion Service, Plain that of the Service as declared, for Fallback. "" while there is none.
	Secure string `json:"secure,omitempty"`
	Plain  string `json:"plain,omitempty"`
	// ID is the SPIFFE ID that the server must show.
	ID string `json:"id"`
	// MinTLSVersion is "1.2" or "1.3".
	MinTLSVersion string `json:"minTLSVersion"`
	// Fallback allows plaintext to Plain while nothing listens at Secure. It is true only while the upstream is not Strict.
	Fallback bool `json:"fallback,omitempty"`
}
