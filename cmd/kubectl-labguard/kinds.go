// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strings"
)

// kind is something that makes pods, or a pod. No discovery is needed for what the gate knows.
type kind struct {
	name, resource string
	// root is the path of its API.
	root string
	// short are other names that kubectl takes.
	short []string
}

var kinds = []kind{
	{name: "Deployment", resource: "deployments", root: "/apis/apps/v1", short: []string{"deploy"}},
	{name: "StatefulSet", resource: "statefulsets", root: "/apis/apps/v1", short: []string{"sts"}},
	{name: "DaemonSet", resource: "daemonsets", root: "/apis/apps/v1", short: []string{"ds"}},
	{name: "ReplicaSet", resource: "replicasets", root: "/apis/apps/v1", short: []string{"rs"}},
	{name: "ReplicationController", resource: "replicationcontrollers", root: "/api/v1", short: []string{"rc"}},
	{name: "CronJob", resource: "cronjobs", root: "/apis/batch/v1", short: []string{"cj"}},
	{name: "Job", resource: "jobs", root: "/apis/batch/v1"},
	{name: "Pod", resource: "pods", root: "/api/v1", short: []string{"po"}},
	{name: "Rollout", resource: "rollouts", root: "/apis/argoproj.io/v1alpha1"},
}

// labWorkload is labguard's own kind, for which the gate is not asked.
var labWorkload = kind{name: "LabWorkload", resource: "labworkloads", root: "/apis/labguard.dev/v1alpha1"}

// namespaceKind is that of namespaces, of which names are asked alone.
var namespaceKind = kind{name: "Namespace", resource: "namespaces", root: "/api/v1"}

// kindNamed is a kind by its name, the name of its resource with or without the group, or a short name.
func kindNamed(name string) (kind, error) {
	wanted, _, _ := strings.Cut(strings.ToLower(name), ".")
	var known []string
	for _, one := range kinds {
		if strings.EqualFold(wanted, one.name) || wanted == one.resource || slices.Contains(one.short, wanted) {
			return one, nil
		}
		known = append(known, strings.ToLower(one.name))
	}
	return kind{}, fmt.Errorf("the gate knows no %s: it knows %s", name, strings.Join(known, ", "))
}
