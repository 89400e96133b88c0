// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/gate"
)

// Facts is what could be read. The order of lists does not matter.
type Facts struct {
	Namespace string
	Now       time.Time
	// Workloads are the LabWorkloads of the namespace, and of the others as far as they may be read.
	Workloads []v1alpha1.LabWorkload
	// Roots are what makes pods in the namespace.
	Roots []Root
	// Pods are those of the namespace, and of the others as far as they may be read.
	Pods []corev1.Pod
	// Services, Policies and Ingresses are those of the namespace.
	Services  []corev1.Service
	Policies  []networkingv1.NetworkPolicy
	Ingresses []networkingv1.Ingress
	// Namespaces are the labels of namespaces by name, as far as they may be read.
	Namespaces map[string]map[string]string
	// Gate is what the gate for images knows of the namespace. Its LabWorkloads are not looked at.
	Gate gate.Seen
}

// Root is an object that makes pods.
type Root struct {
	// Kind and Name are its own, Selector and Template are in its spec. A CronJob has no selector.
	Kind, Name string
	Selector   *metav1.LabelSelector
	Template   corev1.PodTemplateSpec
	// Gate is the same object, as the gate reads it.
	Gate gate.Object
}

// Plan is what would change, and what to write against it. It is also what programs read.
type Plan struct {
	Namespace string     `json:"namespace"`
	Workloads []Workload `json:"labWorkloads"`
	// Left are things that run and that no LabWorkload of the plan stands for.
	Left []string `json:"left,omitempty"`
}

// Workload is what becomes of one LabWorkload.
type Workload struct {
	Name string `json:"name"`
	// New says that there is none of that name yet.
	New bool `json:"new,omitempty"`
	// Of is what makes its pods, such as deployment/lis.
	Of []string `json:"of,omitempty"`
	// Network, Transit and Images are about the network and images under Enforce, and mutual TLS under Strict; People about who gets to the pods.
	Network []Line `json:"network"`
	Transit []Line `json:"transit"`
	Images  []Line `json:"images"`
	People  []Line `json:"people"`
	// Manifest is the LabWorkload to write.
	Manifest *v1alpha1.LabWorkload `json:"manifest"`

	// comments say of fields of the manifest which evidence there is, by their paths.
	comments map[string][]string
}

// Line is one thing that is known, or is not.
type Line struct {
	Effect Effect `json:"effect"`
	Text   string `json:"text"`
}

// Effect is what a line means for whoever enforces.
type Effect string

// The effects.
const (
	// Cuts: a connection that is allowed now, and may be in use, would be cut.
	Cuts Effect = "Cuts"
	// Stops: a rollout would be refused or held.
	Stops Effect = "Stops"
	// Keeps: what the manifest keeps open or lets in, and by which evidence.
	Keeps Effect = "Keeps"
	// Unknown: nobody knows.
	Unknown Effect = "Unknown"
	// Note: it has to be known beside the rest.
	Note Effect = "Note"
)

// most is how many lines of one sort people are shown before "and N more".
const most = 10
