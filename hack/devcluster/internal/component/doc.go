// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package component has the names of the programs in devcluster. It is apart
// from the programs, so that what only names them compiles without Kubernetes.
package component

// The names of the programs, as a user and the process list see them.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kubectl           = "kubectl"
	CertManager       = "cert-manager"
	Kubelet           = "kubelet"
	Proxy             = "kube-proxy"
	Node              = "node"
	NodeParts         = "node-parts"
	Policy            = "network-policy"
	Janitor           = "janitor"
)
