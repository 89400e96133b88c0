// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Enforcement says whether labguard acts on a requirement or only reports on it.
//
// +kubebuilder:validation:Enum=Audit;Enforce
type Enforcement string

const (
	// EnforcementAudit evaluates, reports and says what Enforce would do, and touches nothing.
	EnforcementAudit Enforcement = "Audit"
	// EnforcementEnforce writes network policies and refuses rollouts.
	EnforcementEnforce Enforcement = "Enforce"
)

// LabWorkloadSpec is what the selected pods must live up to. A requirement that is absent is not made:
// no object is written for it and no condition speaks of it.
//
// +kubebuilder:validation:XValidation:rule="!has(self.enforceAfter) || (has(self.enforcement) && self.enforcement == 'Enforce') || (has(self.network) && has(self.network.enforcement) && self.network.enforcement == 'Enforce') || (has(self.images) && has(self.images.enforcement) && self.images.enforcement == 'Enforce') || (has(self.encryption) && has(self.encryption.inTransit) && has(self.encryption.inTransit.enforcement) && self.encryption.inTransit.enforcement == 'Enforce')",message="enforceAfter delays an enforcement, and nothing here enforces: set enforcement: Enforce, or remove enforceAfter"
type LabWorkloadSpec struct {
	// selector chooses the pods by their labels, in the namespace of this object. It must not be empty:
	// a LabWorkload never governs a whole namespace by accident.
	// +required
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="selector is empty and would govern every pod of the namespace: give matchLabels or matchExpressions, such as matchLabels: {app: lis}"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn', 'Exists', 'DoesNotExist'])",message="selector.matchExpressions: operator must be In, NotIn, Exists or DoesNotExist"
	// +kubebuilder:validation:XValidation:rule="!has(self.matchExpressions) || self.matchExpressions.all(e, e.operator in ['In', 'NotIn'] ? (has(e.values) && size(e.values) > 0) : (!has(e.values) || size(e.values) == 0))",message="selector.matchExpressions: In and NotIn need values, Exists and DoesNotExist take none"
	Selector metav1.LabelSelector `json:"selector,omitzero"`

	// enforcement is Audit (evaluate and report, touch nothing) or Enforce. Each of network, encryption.inTransit and images may set its own.
	// A verdict never depends on it: conditions say what is.
	// +optional
	// +kubebuilder:default=Audit
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// enforceAfter keeps everything at Audit until this instant: an RFC 3339 instant such as "2027-01-15T06:00:00Z",
	// or a date such as "2027-01-15", which is midnight UTC at its start.
	// +optional
	// +kubebuilder:validation:MinLength=10
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|[12][0-9]))(T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9]))?$')",message="enforceAfter: write a date such as \"2027-01-15\" (midnight UTC) or an RFC 3339 instant such as \"2027-01-15T06:00:00Z\""
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[0-9]{4}-02-29') || (int(self.substring(0, 4)) % 4 == 0 && (int(self.substring(0, 4)) % 100 != 0 || int(self.substring(0, 4)) % 400 == 0))",message="enforceAfter: that year has no 29 February"
	EnforceAfter string `json:"enforceAfter,omitempty"`

	// suspend freezes labguard's own writes (policies, certificates, releases) for incident work. The gate stays as it was.
	// +optional
	Suspend bool `json:"suspend,omitempty"`

	// encryption says how the pods encrypt.
	// +optional
	Encryption *EncryptionSpec `json:"encryption,omitempty"`

	// network says whom the pods may talk to.
	// +optional
	Network *NetworkSpec `json:"network,omitempty"`

	// images says how old the images of the pods may be.
	// +optional
	Images *ImagesSpec `json:"images,omitempty"`
}

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

// IngressPeer is who may reach a port: exactly one of its fields.
//
// +kubebuilder:validation:XValidation:rule="[has(self.labWorkload), has(self.pods), has(self.external)].filter(x, x).size() == 1",message="allowFrom: each entry has exactly one of labWorkload, pods, external"
// +kubebuilder:validation:XValidation:rule="!has(self.plaintext) || !has(self.labWorkload)",message="allowFrom: plaintext is for pods and external: a LabWorkload speaks mutual TLS"
// +kubebuilder:validation:MinProperties=1
type IngressPeer struct {
	// labWorkload names another LabWorkload. Within a namespace this opens both sides; across namespaces the other side
	// must name this one under network.egress.
	// +optional
	LabWorkload *LabWorkloadReference `json:"labWorkload,omitempty"`

	// pods are pods that no LabWorkload selects, such as a metrics scraper or an ingress gateway.
	// +optional
	Pods *PodPeer `json:"pods,omitempty"`

	// external are addresses outside of the cluster.
	// +optional
	External *ExternalPeer `json:"external,omitempty"`

	// plaintext lets these pods, or these external addresses, speak plaintext at stage Strict too, for a reason and until an end.
	// TransitEncrypted is False while it is open. For provider Sidecar.
	// +optional
	Plaintext *PlaintextException `json:"plaintext,omitempty"`
}

// PlaintextException opens a port in plaintext for a reason and until an end.
type PlaintextException struct {
	// reason says why, for whoever reads the report.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`

	// expires is the instant at which the exception ends.
	// +required
	Expires metav1.Time `json:"expires,omitzero"`
}

// LabWorkloadReference names a LabWorkload.
type LabWorkloadReference struct {
	// name is the name of the LabWorkload.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// namespace is its namespace. Default: the namespace of this object.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
}

// PodPeer chooses pods by labels, as a NetworkPolicy does: a selector that is {} matches everything.
//
// +kubebuilder:validation:XValidation:rule="has(self.namespaceSelector) || has(self.podSelector)",message="pods: give podSelector, namespaceSelector or both ({} means all)"
// +kubebuilder:validation:MinProperties=1
type PodPeer struct {
	// namespaceSelector chooses namespaces. Absent: only the namespace of this object. {}: all namespaces.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`

	// podSelector chooses pods in those namespaces. Absent or {}: all pods.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
}

// CIDR is an address block such as 10.20.0.0/16.
//
// +kubebuilder:validation:MinLength=4
// +kubebuilder:validation:MaxLength=43
// +kubebuilder:validation:XValidation:rule="isCIDR(self) && cidr(self) == cidr(self).masked()",message="write an address block whose host bits are zero, such as 10.20.0.0/16 or 10.20.1.7/32"
type CIDR string

// ExternalPeer is a set of addresses outside of the cluster and, for provider Sidecar, what their certificates must show.
//
// +kubebuilder:validation:XValidation:rule="!has(self.certificates) || has(self.authority)",message="external: certificates need authority: name the external authority of labguard's configuration under which they chain"
// +kubebuilder:validation:XValidation:rule="self.cidrs.all(c, !c.endsWith('/0'))",message="external: an address block of length 0 is everything: write the blocks of the peers"
type ExternalPeer struct {
	// authority names an external authority of labguard's configuration under which the certificates must chain. Absent: the trust domain of
	// the identity chooses the bundle.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Authority string `json:"authority,omitempty"`

	// identities are SPIFFE IDs of peers, such as spiffe://vendor.example/analyzer/*. "*" stands for exactly one whole segment of the path,
	// and at least one segment is spelled out.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=10
	// +kubebuilder:validation:items:MaxLength=255
	// +kubebuilder:validation:items:Pattern=`^spiffe://[a-z0-9._-]+(/[*])*/[A-Za-z0-9._-]+(/([A-Za-z0-9._-]+|[*]))*$`
	Identities []string `json:"identities,omitempty"`

	// certificates name certificates without a SPIFFE ID, as of analysers.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Certificates []ExternalCertificate `json:"certificates,omitempty"`

	// cidrs are the address blocks.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	CIDRs []CIDR `json:"cidrs,omitempty"`
}

// ExternalCertificate names a certificate: exactly one of its fields.
//
// +kubebuilder:validation:XValidation:rule="[has(self.sha256), has(self.dnsName)].filter(x, x).size() == 1",message="external.certificates: each entry has exactly one of sha256, dnsName"
// +kubebuilder:validation:MinProperties=1
type ExternalCertificate struct {
	// sha256 is the SHA-256 fingerprint of the certificate, 64 lower-case hexadecimal digits.
	// +optional
	// +kubebuilder:validation:MinLength=64
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:Pattern=`^[0-9a-f]{64}$`
	SHA256 string `json:"sha256,omitempty"`

	// dnsName is a whole DNS name in the certificate, in lower case and without a wildcard.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	DNSName string `json:"dnsName,omitempty"`
}

// NetworkSpec says whom the pods may talk to.
//
// +kubebuilder:validation:MinProperties=1
type NetworkSpec struct {
	// enforcement of network isolation (also of the ports under encryption.inTransit). Default: spec.enforcement.
	// +optional
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// egress lists what the pods may connect to. Absent: not restricted. An empty list: nothing but DNS and the LabWorkloads of
	// this namespace that allow them in.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:MinItems=0
	Egress []EgressPeer `json:"egress,omitzero"`

	// accept names NetworkPolicies that labguard did not write and that may open the pods wider.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:MinItems=0
	Accept []AcceptedPolicy `json:"accept,omitempty"`
}

// AcceptedPolicy is a NetworkPolicy of somebody else that may open the pods wider than this LabWorkload does.
type AcceptedPolicy struct {
	// name is the name of the NetworkPolicy in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// reason says why, for whoever reads the report.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`
}

// EgressPeer is something the pods may connect to: exactly one of labWorkload, pods, cidrs, kubernetesAPI.
//
// +kubebuilder:validation:XValidation:rule="[has(self.labWorkload), has(self.pods), has(self.cidrs), has(self.kubernetesAPI)].filter(x, x).size() == 1",message="egress: each entry has exactly one of labWorkload, pods, cidrs, kubernetesAPI"
// +kubebuilder:validation:XValidation:rule="!has(self.kubernetesAPI) || !has(self.ports)",message="egress: kubernetesAPI brings its own ports: remove ports"
// +kubebuilder:validation:MinProperties=1
type EgressPeer struct {
	// labWorkload names another LabWorkload. Within a namespace this opens both sides; across namespaces the other side
	// must name this one under allowFrom.
	// +optional
	LabWorkload *LabWorkloadReference `json:"labWorkload,omitempty"`

	// pods are pods that no LabWorkload selects.
	// +optional
	Pods *PodPeer `json:"pods,omitempty"`

	// cidrs are address blocks.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	CIDRs []CIDR `json:"cidrs,omitempty"`

	// kubernetesAPI allows the Kubernetes API server: its Service address and its endpoints, as they are at any time.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self",message="egress: kubernetesAPI is true or absent"
	KubernetesAPI *bool `json:"kubernetesAPI,omitempty"`

	// ports limits the entry to these ports. Absent: all ports of pods and cidrs; of a labWorkload, the ports that it declares.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Ports []PeerPort `json:"ports,omitempty"`
}

// Protocol is a transport protocol.
//
// +kubebuilder:validation:Enum=TCP;UDP;SCTP
type Protocol string

// PeerPort is a port of a peer.
type PeerPort struct {
	// port is the number of the port on which the peer's container listens, not the port of a Service.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// protocol is TCP (default), UDP or SCTP.
	// +optional
	// +kubebuilder:default=TCP
	Protocol Protocol `json:"protocol,omitempty"`
}

// OnStale says what happens to a rollout that brings a stale image.
//
// +kubebuilder:validation:Enum=Deny;Hold;Warn
type OnStale string

const (
	// OnStaleDeny refuses the write that brings the image.
	OnStaleDeny OnStale = "Deny"
	// OnStaleHold lets the write through and keeps it from rolling out until its images are fine. What cannot be held is refused.
	OnStaleHold OnStale = "Hold"
	// OnStaleWarn lets the write through with a warning and records the image as admitted.
	OnStaleWarn OnStale = "Warn"
)

// ImageDuration is a length of time in hours, minutes and seconds, such as 2160h (90 days).
//
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=20
// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$')",message="write hours, minutes and seconds, such as 2160h for 90 days"
// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || duration(self) <= duration('87600h')",message="is more than ten years (87600h): write a shorter time, such as 2160h for 90 days"
type ImageDuration string

// ImagesSpec says how old the images of the pods may be.
//
// +kubebuilder:validation:XValidation:rule="!has(self.warnBefore) || !self.warnBefore.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || !self.maxAge.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || duration(self.warnBefore) < duration(self.maxAge)",message="images.warnBefore must be shorter than images.maxAge, or every image warns from its first day"
// +kubebuilder:validation:XValidation:rule="!has(self.minAge) || !self.minAge.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || !self.maxAge.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || duration(self.minAge) < duration(self.maxAge)",message="images.minAge must be shorter than images.maxAge, or no image ever passes"
type ImagesSpec struct {
	// enforcement of image age. Default: spec.enforcement.
	// +optional
	Enforcement Enforcement `json:"enforcement,omitempty"`

	// maxAge is the age from which an image is stale, counted from its creation, such as 2160h for 90 days; at least 1h.
	// +required
	// +kubebuilder:validation:XValidation:rule="!self.matches('^([0-9]{1,6}h)?([0-9]{1,6}m)?([0-9]{1,6}s)?$') || duration(self) >= duration('1h')",message="images.maxAge must be at least 1h"
	MaxAge ImageDuration `json:"maxAge,omitempty"`

	// minAge is the age below which an image is too young, such as 72h: time in which others find out that a build was tampered with. It is
	// counted from the same date as maxAge, and onStale says what a rollout that brings such an image meets. Default: none.
	// +optional
	MinAge ImageDuration `json:"minAge,omitempty"`

	// warnBefore is how long before it goes stale an image is reported. Default: 336h, or a quarter of maxAge if that is shorter.
	// +optional
	WarnBefore ImageDuration `json:"warnBefore,omitempty"`

	// onStale says what happens to a rollout that brings a stale image: Deny (default) refuses it, Hold accepts the write and keeps it from
	// rolling out, Warn lets it through with a warning. Restarts, scaling and rollback to admitted images are never touched.
	//
	// Held are: Deployments (paused), new Jobs and new CronJobs (suspend), StatefulSets (partition and scheduling gate), new DaemonSets and bare pods
	// (scheduling gate). labguard gives the earlier value back when the images are fine, such as after a fresh build was pushed under the same
	// tag. Everything else is refused under Hold too: updates of DaemonSets and CronJobs, updateStrategy OnDelete, hooks of Helm and Argo CD.
	//
	// Before you choose Hold: kubectl refuses rollout undo and rollout restart of a held Deployment (revert the image in Git instead, which
	// labguard lets roll out); a change of settings waits with the held image; a new held Deployment has no pods, so that helm --wait and the health
	// checks of Flux run into their time-out and Argo CD shows Suspended; a DaemonSet in service is refused, not held.
	// +optional
	// +kubebuilder:default=Deny
	OnStale OnStale `json:"onStale,omitempty"`

	// onUnknownAge says what happens to a rollout that brings an image whose age nobody can know (no credentials, no plausible date,
	// registry silent): Warn (default), Hold or Deny.
	// +optional
	// +kubebuilder:default=Warn
	OnUnknownAge OnStale `json:"onUnknownAge,omitempty"`

	// exempt lists images that are not judged, each with a reason and an end.
	// +optional
	// +listType=map
	// +listMapKey=pattern
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:MinItems=0
	Exempt []ImageExemption `json:"exempt,omitempty"`
}

// ImageExemption is a set of images that are not judged, for a reason and until an end.
type ImageExemption struct {
	// pattern is an image repository with registry, such as registry.example/vendor/lis; a final /* matches every repository below.
	// Tag and digest do not take part.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9.-]+(:[0-9]+)?(/[a-z0-9._-]+)*(/[*])?$') && self.contains('/')",message="images.exempt: pattern is a repository with its registry and without a tag, such as registry.example/vendor/lis or registry.example/vendor/*"
	Pattern string `json:"pattern,omitempty"`

	// reason says why, for whoever reads the report.
	// +required
	// +kubebuilder:validation:MinLength=8
	// +kubebuilder:validation:MaxLength=256
	Reason string `json:"reason,omitempty"`

	// expires is the instant at which the exemption ends.
	// +required
	Expires metav1.Time `json:"expires,omitzero"`
}

// LabWorkloadStatus says what holds, what does not, what nobody can know, and when that will change.
//
// +kubebuilder:validation:MinProperties=1
type LabWorkloadStatus struct {
	// conditions are Ready (labguard has done its part), Compliant (the sum), and one for each requirement that the spec makes.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:MinItems=0
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation that this status speaks of; -1 before the first look.
	// +optional
	// +kubebuilder:default=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// enforcement is what is in force now: Audit, Enforce, Mixed, "Audit until <date>" or Suspended.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Enforcement string `json:"enforcement,omitempty"`

	// images are the distinct images that workload objects declare and pods run, the ones that go stale first at the top.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=50
	// +kubebuilder:validation:MinItems=0
	Images []ImageStatus `json:"images,omitempty"`

	// imageCount is how many distinct images there are; images lists at most 50 of them.
	// +optional
	// +kubebuilder:validation:Minimum=1
	ImageCount int32 `json:"imageCount,omitempty"`

	// oldestImage is the creation time of the oldest image whose age is known.
	// +optional
	OldestImage *metav1.Time `json:"oldestImage,omitempty"`

	// staleAt is the next instant at which an image that is not stale yet will be.
	// +optional
	StaleAt *metav1.Time `json:"staleAt,omitempty"`

	// held are the rollouts that wait until their images are fine; at most 20.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:MinItems=0
	Held []HeldRollout `json:"held,omitempty"`

	// heldCount is how many there are; held lists at most 20 of them.
	// +optional
	// +kubebuilder:validation:Minimum=1
	HeldCount int32 `json:"heldCount,omitempty"`

	// certificate is what cert-manager has issued.
	// +optional
	Certificate *CertificateStatus `json:"certificate,omitempty"`

	// transit is how far the way to mutual TLS has gone, for provider Sidecar.
	// +optional
	Transit *TransitStatus `json:"transit,omitempty"`

	// enforcedSince is when labguard has seen its own canary refused on the API servers: from then on no new stale image comes in.
	// +optional
	EnforcedSince *metav1.Time `json:"enforcedSince,omitempty"`

	// nextChangeAt is the next instant at which time alone changes a verdict.
	// +optional
	NextChangeAt *metav1.Time `json:"nextChangeAt,omitempty"`

	// preview says what Enforce would do to what exists now. Only under Audit.
	// +optional
	Preview *EnforcementPreview `json:"preview,omitempty"`
}

// ImageStatus is one distinct image and what is known of its age.
type ImageStatus struct {
	// reference is the image as the workload declares it.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:MinLength=1
	Reference string `json:"reference,omitempty"`

	// digest is the digest that the reference means, or that pods run.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:MinLength=1
	Digest string `json:"digest,omitempty"`

	// platform is the operating system and architecture that the age belongs to, such as linux/amd64.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Platform string `json:"platform,omitempty"`

	// answer is Fresh, Stale, TooYoung, Unknown or Exempt.
	// +required
	// +kubebuilder:validation:Enum=Fresh;Stale;TooYoung;Unknown;Exempt
	Answer string `json:"answer,omitempty"`

	// reason is one word for the answer, such as ImageFresh, ImageStale, CredentialsNotReadable.
	// +required
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Reason string `json:"reason,omitempty"`

	// created is when the image was made, if known.
	// +optional
	Created *metav1.Time `json:"created,omitempty"`

	// evidence names what created rests on: Config, History or Annotation.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Evidence string `json:"evidence,omitempty"`

	// staleAt is when the image goes stale, or went.
	// +optional
	StaleAt *metav1.Time `json:"staleAt,omitempty"`

	// fresher is the digest of a fresher build that the same tag means by now; None if the tag has no fresher one. Absent if that is not known,
	// as for a reference without a tag.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:MinLength=1
	Fresher string `json:"fresher,omitempty"`

	// sameContentSince is when an image with the very same layers was made, or first seen, in the same repository, if that is earlier than
	// created: it was built anew, and its files are older than it says. It is reported and refuses nothing.
	// +optional
	SameContentSince *metav1.Time `json:"sameContentSince,omitempty"`

	// admission says why the gate has let the image in (Fresh, Exempt, Warned, PreExisting, Audit, Recovery, EnteredUngoverned),
	// or RanWithoutAdmission or OwnerMismatch if it has not.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	// +kubebuilder:validation:MinLength=1
	Admission string `json:"admission,omitempty"`

	// declared says whether a workload object declares the image.
	// +optional
	Declared bool `json:"declared,omitempty"`

	// pods is how many pods run it.
	// +optional
	// +kubebuilder:validation:Minimum=1
	Pods int32 `json:"pods,omitempty"`
}

// HeldRollout is a root workload that is kept from rolling out what it declares.
type HeldRollout struct {
	// kind of the workload, such as Deployment.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// name of the workload.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// reason is RolloutHeld, or HeldMidRollout if the hold came while an earlier rollout of a Deployment had not finished.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason,omitempty"`

	// images are the declared images that it waits for, at most 10.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	Images []string `json:"images,omitempty"`

	// since is when labguard first saw it held.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
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

// EnforcementPreview says what Enforce would do to what exists now.
//
// +kubebuilder:validation:MinProperties=0
type EnforcementPreview struct {
	// networkPolicy is the policy that would be written.
	// +optional
	NetworkPolicy *networkingv1.NetworkPolicySpec `json:"networkPolicy,omitempty"`

	// losesPath names existing pods, Services and Ingresses that could no longer reach, or be reached; at most 20, then "and N more".
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=21
	// +kubebuilder:validation:items:MaxLength=512
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:MinItems=0
	LosesPath []string `json:"losesPath,omitempty"`

	// refusedImages names declared images that could not be rolled out anew; at most 20, then "and N more".
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=21
	// +kubebuilder:validation:items:MaxLength=1100
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:MinItems=0
	RefusedImages []string `json:"refusedImages,omitempty"`
}

// LabWorkload says what the pods of one piece of laboratory software must live up to, and reports whether they do.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=lw,categories=labguard
// +kubebuilder:printcolumn:name="Compliant",type=string,JSONPath=`.status.conditions[?(@.type=="Compliant")].status`
// +kubebuilder:printcolumn:name="Enforcement",type=string,JSONPath=`.status.enforcement`
// +kubebuilder:printcolumn:name="Network",type=string,JSONPath=`.status.conditions[?(@.type=="NetworkIsolated")].status`
// +kubebuilder:printcolumn:name="Transit",type=string,JSONPath=`.status.conditions[?(@.type=="TransitEncrypted")].status`
// +kubebuilder:printcolumn:name="Images",type=string,JSONPath=`.status.conditions[?(@.type=="ImagesFresh")].status`
// +kubebuilder:printcolumn:name="Stale-At",type=string,JSONPath=`.status.staleAt`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Ready",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Oldest-Image",type=date,priority=1,JSONPath=`.status.oldestImage`
// +kubebuilder:printcolumn:name="Certificate-Expires",type=string,priority=1,JSONPath=`.status.certificate.notAfter`
// +kubebuilder:printcolumn:name="Held",type=integer,priority=1,JSONPath=`.status.heldCount`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 200",message="metadata.name: at most 200 characters, since labguard's own objects carry it in their names"
type LabWorkload struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the selected pods must live up to.
	// +required
	Spec LabWorkloadSpec `json:"spec,omitzero"`

	// status says what holds.
	// +optional
	// +kubebuilder:default={"observedGeneration":-1}
	Status LabWorkloadStatus `json:"status,omitzero"`
}

// LabWorkloadList is a list of LabWorkloads.
//
// +kubebuilder:object:root=true
type LabWorkloadList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []LabWorkload `json:"items"`
}
