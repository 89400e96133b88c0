// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
