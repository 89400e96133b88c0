// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package flux

import (
	"fmt"
	"time"
)

const day = 24 * time.Hour

// software is a Deployment and a Service. The commit is a label of both, so that each commit changes both; more is more of the spec of the Deployment.
func software(name, image, commit, more string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, labels: {commit: %[3]q}}
spec:
  replicas: 1
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s, area: laboratory}}
    spec: {containers: [{name: app, image: %[2]q}]}
%[4]s---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, labels: {commit: %[3]q}}
spec:
  selector: {app: %[1]s}
  ports: [{name: hl7, port: 2575, protocol: TCP}]
`, name, image, commit, more)
}

// setting is a ConfigMap that each commit changes.
func setting(name, commit string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s, labels: {commit: %q}}\ndata: {commit: %q}\n", name, commit, commit)
}

// guard is a LabWorkload for all software of the laboratory, with images of at most 90 days. More is more of its spec.
func guard(commit, onStale, more string) string {
	return fmt.Sprintf(`apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: laboratory, labels: {commit: %q}}
spec:
  selector: {matchLabels: {area: laboratory}}
  enforcement: Enforce
  images: {maxAge: 2160h, onStale: %s}
%s`, commit, onStale, more)
}

// encrypted is a certificate for a Service, and a network policy.
func encrypted(issuer, service string) string {
	return fmt.Sprintf(`  encryption:
    inTransit:
      provider: Application
      issuerRef: {name: %s}
      certificate: {services: [%s]}
      ports:
      - name: hl7
        port: 2575
        allowFrom: [{pods: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: instruments}}, podSelector: {}}}]
`, issuer, service)
}
