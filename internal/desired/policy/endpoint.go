// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"

	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
)

// Endpoint is where the API server reaches the webhooks. URL wins if both are given.
type Endpoint struct {
	// URL is scheme, host and port without a path, such as https://localhost:9443, for a labguard that runs outside the cluster.
	URL string
	// ServiceNamespace, ServiceName and ServicePort name the Service of a labguard that runs inside the cluster.
	ServiceNamespace string
	ServiceName      string
	// ServicePort is 1 to 65535; 0 leaves the API server's default, 443.
	ServicePort int32
}

// Client says how the API server reaches one path of the endpoint, and which certificates the one that it is served with chains to.
func (e Endpoint) Client(path string, authorities []byte) *admissionac.WebhookClientConfigApplyConfiguration {
	client := admissionac.WebhookClientConfig()
	if len(authorities) > 0 {
		client.WithCABundle(authorities...)
	}
	if e.URL != "" {
		return client.WithURL(strings.TrimSuffix(e.URL, "/") + path)
	}
	service := admissionac.ServiceReference().WithNamespace(e.ServiceNamespace).WithName(e.ServiceName).WithPath(path)
	if e.ServicePort != 0 {
		service.WithPort(e.ServicePort)
	}
	return client.WithService(service)
}
