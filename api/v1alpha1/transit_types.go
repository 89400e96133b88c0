// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// EncryptionSpec says how the pods encrypt.
//
// +kubebuilder:validation:MinProperties=1
type EncryptionSpec struct {
	// inTransit says how connections to the pods are encrypted and who may open them.
	// +optional
	InTransit *InTransitSpec `json:"inTransit,omitempty"`
}

// TransitProvider says who terminates TLS.
//
// +kubebuilder:validation:Enum=Application;Sidecar
type TransitProvider string

const (
	// TransitProviderApplication means that the application itself terminates TLS with the certificate that labguard has issued.
	TransitProviderApplication TransitProvider = "Application"
	// TransitProviderSidecar means that airlock, a sidecar that labguard adds to the pods, terminates and originates mutual TLS.
	TransitProviderSidecar TransitProvider = "Sidecar"
)

// TransitStage is how far the way to mutual TLS has gone.
//
// +kubebuilder:validation:Enum=Observe;Permissive;Strict
type TransitStage string

const (
	// TransitStageObserve changes nothing: labguard reports who the peers are and what the next stage would need.
	TransitStageObserve TransitStage = "Observe"
	// TransitStagePermissive adds airlock to pods that start from now on; declared peers reach the ports in plaintext and over mutual TLS.
	TransitStagePermissive TransitStage = "Permissive"
	// TransitStageStrict lets declared peers in over mutual TLS alone.
	TransitStageStrict TransitStage = "Strict"
)

// ClientPath is how the connections of an unmodified application reach airlock.
//
// +kubebuilder:validation:Enum=HostAliases;Redirect
type ClientPath string

const (
	// ClientPathHostAliases gives the names of upstreams loopback addresses in /etc/hosts of the pod, on which airlock listens.
	ClientPathHostAliases ClientPath = "HostAliases"
	// ClientPathRedirect has an init container with NET_ADMIN write rules in the pod's network that send connections to airlock.
	ClientPathRedirect ClientPath = "Redirect"
)

// InTransitSpec says how connections to the pods are encrypted and who may open them.
//
// +kubebuilder:validation:XValidation:rule="self.provider == 'Sidecar' || (!has(self.stage) && !has(self.observeFor) && !has(self.clientPath) && !has(self.upstreams) && !has(self.acknowledged) && !has(self.maxConnections) && !has(self.maxConnectionAge))",message="encryption.inTransit: stage, observeFor, acknowledged, clientPath, upstreams, maxConnections and maxConnectionAge belong to provider: Sidecar: remove them, or choose that provider"
// +kubebuilder:validation:XValidation:rule="self.provider != 'Sidecar' || !has(self.ports) || self.ports.all(p, !(p.port in [15001, 15090, 15091]))",message="encryption.inTransit.ports: 15001, 15090 and 15091 are ports of the sidecar itself: let the application listen elsewhere"
// +kubebuilder:validation:XValidation:rule="self.provider != 'Sidecar' || !has(self.certificate)",message="encryption.inTransit.certificate belongs to provider: Application: the Secret of the sidecar is labguard's own; remove it"
type InTransitSpec struct {
	// enforcement of the certificate. Under Audit none is asked for, and one that was issued before is kept. Default: spec.enforcement.
	// The network policy that ports lead to follows network.enforcement.
	// +optional
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// provider says who terminates TLS. Application: the application does, with the Secret that labguard has issued for it. Sidecar: airlock does,
	// a sidecar that labguard adds to the pods, on both ends and without a change of the application.
	// +required
	Provider TransitProvider `json:"provider,omitempty"`

	// stage is how far the way to mutual TLS is to go, for provider Sidecar: Observe changes nothing, Permissive (default) adds airlock to pods
	// that start from now on and leaves plaintext open to the declared peers, Strict closes it. labguard enters Strict by itself once
	// every pod has airlock, every declared client too, and no undeclared plaintext peer was seen for observeFor; status.transit says what is
	// missing. Going back takes effect at once.
	// +optional
	Stage TransitStage `json:"stage,omitempty"`

	// observeFor is how long no undeclared plaintext peer may have been seen before Strict is entered: at least 24h. Default: 168h, a week, which
	// a monthly job does not show up in.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || duration(self) >= duration('24h')",message="encryption.inTransit.observeFor must be at least 24h"
	ObserveFor ImageDuration `json:"observeFor,omitempty"`

	// acknowledged names what a person has looked into and accepts, so that it does not keep Strict from being entered.
	// +optional
	Acknowledged *TransitAcknowledgement `json:"acknowledged,omitempty"`

	// clientPath is how connections of the application to its upstreams reach airlock: HostAliases (default), or Redirect, which needs a namespace
	// whose Pod Security level is privileged or unset.
	// +optional
	ClientPath ClientPath `json:"clientPath,omitempty"`

	// upstreams says more about single upstreams. Which upstreams there are follows from the ports that allow this LabWorkload in.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Upstreams []UpstreamSettings `json:"upstreams,omitempty"`

	// maxConnections is how many connections airlock carries at once in one pod; more are refused. Its memory limit follows from it. Default: 1024.
	// +optional
	// +kubebuilder:validation:Minimum=16
	// +kubebuilder:validation:Maximum=16384
	MaxConnections int32 `json:"maxConnections,omitempty"`

	// maxConnectionAge ends a connection at the latest, such as 24h. Default: never.
	// +optional
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || duration(self) >= duration('1m')",message="encryption.inTransit.maxConnectionAge must be at least 1m"
	MaxConnectionAge ImageDuration `json:"maxConnectionAge,omitempty"`

	// issuerRef names the cert-manager issuer. It must be one that the platform team lists in labguard's configuration.
	// +required
	IssuerRef IssuerReference `json:"issuerRef,omitzero"`

	// certificate says what the issued certificate is called and which Services it is valid for.
	// +optional
	Certificate *CertificateSpec `json:"certificate,omitempty"`

	// ports are the container ports that may be reached, each with its peers. If given, every other port of the pods is closed
	// to other pods.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:XValidation:rule="self.all(p, self.exists_one(q, q.port == p.port))",message="ports: the same port is given twice: merge the two entries, or correct one port"
	Ports []TransitPort `json:"ports,omitempty"`
}

// TransitAcknowledgement is what a person accepts.
type TransitAcknowledgement struct {
	// unattributedConnections is up to how many connections of unknown origin, all pods together, are accepted.
	// +required
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000
	UnattributedConnections *int64 `json:"unattributedConnections,omitempty"`

	// reason says why, for whoever reads the report.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`
}

// UpstreamSettings says more about one port of one upstream.
type UpstreamSettings struct {
	// labWorkload names the upstream.
	// +required
	LabWorkload LabWorkloadReference `json:"labWorkload,omitzero"`

	// port is the name of its port. Default: all of its ports.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Port string `json:"port,omitempty"`

	// localPort is the port on which airlock listens for the application, if the upstream's own port is taken in these pods: the application is
	// then pointed at <service>:<localPort>.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	LocalPort int32 `json:"localPort,omitempty"`
}

// IssuerKind is a kind of cert-manager issuer.
//
// +kubebuilder:validation:Enum=Issuer;ClusterIssuer
type IssuerKind string

const (
	// IssuerKindIssuer is an issuer in the namespace of the LabWorkload.
	IssuerKindIssuer IssuerKind = "Issuer"
	// IssuerKindClusterIssuer is an issuer for the whole cluster.
	IssuerKindClusterIssuer IssuerKind = "ClusterIssuer"
)

// IssuerReference names a cert-manager issuer.
type IssuerReference struct {
	// kind is ClusterIssuer (default) or Issuer.
	// +optional
	// +kubebuilder:default=ClusterIssuer
	Kind IssuerKind `json:"kind,omitempty"`

	// name is the name of the issuer.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}

// CertificateSpec says what the issued certificate is called and which Services it is valid for.
//
// +kubebuilder:validation:MinProperties=1
type CertificateSpec struct {
	// secretName is the Secret that receives key, certificate and CA. Default: <name of the LabWorkload>-tls.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="certificate.secretName: write a Secret name: lower-case letters, digits, '-' and '.', such as lis-tls"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('labguard-')",message="certificate.secretName: names that begin with labguard- are reserved for labguard's own Secrets: choose another"
	SecretName string `json:"secretName,omitempty"`

	// services are names of Services in this namespace. The certificate carries the DNS names under which clients reach them:
	// <service>, <service>.<namespace>, <service>.<namespace>.svc and <service>.<namespace>.svc.<cluster domain>.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.all(s, s.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",message="certificate.services: write the bare name of a Service in this namespace, such as lis"
	// +kubebuilder:validation:MinItems=0
	Services []string `json:"services,omitempty"`
}

// TransitPort is one container port and who may reach it.
type TransitPort struct {
	// name names the port, such as mllp.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="ports: a port name has lower-case letters, digits and '-', such as mllp"
	Name string `json:"name,omitempty"`

	// port is the TCP port on which the container listens (network policies act on it), not the port of a Service.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// minTLSVersion is the lowest version of TLS that airlock accepts here, "1.3" (default) or "1.2" for peers that cannot do better, such as
	// DICOM (BCP 195) and analysers. For provider Sidecar.
	// +optional
	// +kubebuilder:validation:Enum="1.2";"1.3"
	MinTLSVersion string `json:"minTLSVersion,omitempty"`

	// allowFrom lists who may reach the port. Empty: nobody.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:MinItems=0
	AllowFrom []IngressPeer `json:"allowFrom,omitempty"`
}

// CertificateStatus is what cert-manager has issued.
type CertificateStatus struct {
	// secretName is the Secret that holds key and certificate.
	// +required
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:MinLength=1
	SecretName string `json:"secretName,omitempty"`

	// serial is the serial number of the certificate, in hexadecimal.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Serial string `json:"serial,omitempty"`

	// notAfter is when the certificate expires.
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`

	// renewalTime is when cert-manager will renew it.
	// +optional
	RenewalTime *metav1.Time `json:"renewalTime,omitempty"`
}

// TransitStatus is how far the way to mutual TLS has gone.
type TransitStatus struct {
	// stage is what is in force now: Observe, Permissive or Strict.
	// +required
	Stage TransitStage `json:"stage,omitempty"`

	// blockers say what keeps the stage that the spec asks for, or the next one, from being entered; at most 10, then "and N more".
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=11
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=512
	Blockers []string `json:"blockers,omitempty"`

	// observedSince is since when every pod has airlock and no undeclared plaintext peer was seen.
	// +optional
	ObservedSince *metav1.Time `json:"observedSince,omitempty"`

	// pods is how many live pods there are, and injected how many of them have airlock.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Pods *int32 `json:"pods,omitempty"`

	// injected is how many of the live pods have airlock.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Injected *int32 `json:"injected,omitempty"`

	// ports are the declared ports and what airlock has made of them.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=32
	Ports []TransitPortStatus `json:"ports,omitempty"`

	// probedAt is when the oldest proof that the stage rests on was taken, and vantage from where.
	// +optional
	ProbedAt *metav1.Time `json:"probedAt,omitempty"`

	// vantage is from where the probes were made, such as "labguard on node n1".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Vantage string `json:"vantage,omitempty"`

	// upstreams are the Services that pods of this LabWorkload have reached over mutual TLS, at most 64.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=64
	Upstreams []TransitUpstreamStatus `json:"upstreams,omitempty"`
}

// TransitUpstreamStatus is one port of a Service behind which another LabWorkload is.
type TransitUpstreamStatus struct {
	// name is <namespace>/<Service>:<port>.
	// +required
	// +kubebuilder:validation:MinLength=5
	// +kubebuilder:validation:MaxLength=133
	Name string `json:"name,omitempty"`

	// lastHandshake is when the last connection began that the other side has let in. A later one is written once it is a quarter of an hour later.
	// +optional
	LastHandshake *metav1.Time `json:"lastHandshake,omitempty"`
}

// TransitPortStatus is one declared port.
type TransitPortStatus struct {
	// name is the name of the port in the spec.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// sidecarPort is the port on which airlock listens in the pods.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	SidecarPort int32 `json:"sidecarPort,omitempty"`

	// services are the companion Services, at most 8.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Services []string `json:"services,omitempty"`

	// listening is how the application listens: LoopbackOnly, which nothing outside of the pod reaches, or NodeReachable, which other programs of the node
	// reach without airlock. Absent if not known.
	// +optional
	// +kubebuilder:validation:Enum=LoopbackOnly;NodeReachable
	Listening string `json:"listening,omitempty"`
}
