// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcement

import (
	"net/url"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/labguard/labguard/controllers/inventory"
)

// metaMapper knows the kinds that a canary may use, so that a client on a fresh connection needs no discovery.
func metaMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, kind := range []string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"} {
		mapper.Add(appsv1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	for _, kind := range []string{"Job", "CronJob"} {
		mapper.Add(batchv1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	for _, kind := range []string{"Pod", "ReplicationController"} {
		mapper.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	mapper.Add(inventory.ArgoRollout, meta.RESTScopeNamespace)
	return mapper
}

// serverName is the host name that the certificate of the API server is checked against, whatever address is dialled.
func serverName(host string) string {
	parsed, err := url.Parse(host)
	if err != nil || parsed.Hostname() == "" {
		return host
	}
	return parsed.Hostname()
}
