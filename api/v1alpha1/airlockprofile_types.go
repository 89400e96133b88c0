// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// AirlockProfileSpec is the sidecar of one LabWorkload, computed beforehand, so that adding it to a pod needs nobody but the API server.
type AirlockProfileSpec struct {
	// workload is the value of the label labguard.dev/workload on the pods.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Workload string `json:"workload,omitempty"`

	// labWorkload is the name of the LabWorkload.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	LabWorkload string `json:"labWorkload,omitempty"`

	// stage is what is in force: it outlives a status that a restore has lost.
	// +required
	Stage TransitStage `json:"stage,omitempty"`

	// selector chooses the pods that get the sidecar. Absent: no pod that starts from now on gets it.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`

	// current is what pods get that start from now on.
	// +required
	Current AirlockRevision `json:"current,omitzero"`

	// known are earlier revisions that a pod may have been made from a moment ago, the latest first.
	// +optional
	// +listType=map
	// +listMapKey=hash
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=8
	Known []AirlockRevision `json:"known,omitempty"`

	// ports are the ports that airlock listens on, one for each declared port. An allocation never changes while the profile exists.
	// +optional
	// +listType=map
	// +listMapKey=port
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=128
	Ports []AllocatedPort `json:"ports,omitempty"`

	// upstreams are the loopback addresses that airlock listens on for the application. An allocation never changes while the profile exists.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=512
	Upstreams []AllocatedAddress `json:"upstreams,omitempty"`
}

// AirlockRevision is one state of the sidecar. Pods that are made from it carry its hash.
type AirlockRevision struct {
	// hash is the hash of all the other fields: the value of the label labguard.dev/airlock.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Hash string `json:"hash,omitempty"`

	// image is the image of airlock, by digest.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// memory is the memory limit in bytes, which is the request as well.
	// +required
	// +kubebuilder:validation:Minimum=1
	Memory int64 `json:"memory,omitempty"`

	// secret is the Secret of the identity, and configMap the ConfigMap of the configuration.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Secret string `json:"secret,omitempty"`

	// configMap is the ConfigMap of the configuration.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ConfigMap string `json:"configMap,omitempty"`

	// bundles are the trust bundles, each a file in the pod.
	// +optional
	// +listType=map
	// +listMapKey=path
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=32
	Bundles []AirlockBundle `json:"bundles,omitempty"`

	// hostAliases are added to the pod.
	// +optional
	// +listType=map
	// +listMapKey=ip
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=256
	HostAliases []AirlockHostAlias `json:"hostAliases,omitempty"`

	// redirect says that an init container with NET_ADMIN sends connections to airlock. Its rules are arguments of that container.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MinItems=0
	// +kubebuilder:validation:MaxItems=512
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=128
	Redirect []string `json:"redirect,omitempty"`
}

// AirlockBundle is a trust bundle in the pod.
type AirlockBundle struct {
	// name is the name of the ClusterTrustBundle or, where the cluster serves none, the key in the ConfigMap of bundles.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// path is the file, relative to the directory of airlock.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=320
	Path string `json:"path,omitempty"`
}

// AirlockHostAlias gives names an address.
type AirlockHostAlias struct {
	// ip is a loopback address.
	// +required
	// +kubebuilder:validation:MinLength=7
	// +kubebuilder:validation:MaxLength=15
	IP string `json:"ip,omitempty"`

	// hostnames are the names.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=253
	Hostnames []string `json:"hostnames,omitempty"`
}

// AllocatedPort is the port of airlock for a port of the application.
type AllocatedPort struct {
	// port is the port of the application.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`

	// sidecarPort is the port of airlock.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	SidecarPort int32 `json:"sidecarPort,omitempty"`
}

// AllocatedAddress is the loopback address for an upstream Service.
type AllocatedAddress struct {
	// name is <namespace>/<Service>.
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=127
	Name string `json:"name,omitempty"`

	// ip is a loopback address.
	// +required
	// +kubebuilder:validation:MinLength=7
	// +kubebuilder:validation:MaxLength=15
	IP string `json:"ip,omitempty"`

	// labWorkload is the LabWorkload behind the Service, in the namespace of the Service. Pods that know the address outlive its declaration.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	LabWorkload string `json:"labWorkload,omitempty"`
}

// AirlockProfile is the parameter of the admission policy that adds airlock to the pods of one LabWorkload. labguard alone writes it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:categories=labguard
// +kubebuilder:printcolumn:name="LabWorkload",type=string,JSONPath=`.spec.labWorkload`
// +kubebuilder:printcolumn:name="Stage",type=string,JSONPath=`.spec.stage`
// +kubebuilder:printcolumn:name="Hash",type=string,JSONPath=`.spec.current.hash`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AirlockProfile struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the sidecar.
	// +required
	Spec AirlockProfileSpec `json:"spec,omitzero"`
}

// AirlockProfileList is a list of AirlockProfiles.
//
// +kubebuilder:object:root=true
type AirlockProfileList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AirlockProfile `json:"items"`
}
