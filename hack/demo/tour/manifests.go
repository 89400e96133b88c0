// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tour

import "fmt"

// The namespaces of two departments.
const (
	Pathology = "demo-pathology"
	Chemistry = "demo-chemistry"
)

// Namespaces is the manifest of the namespaces.
const Namespaces = `
apiVersion: v1
kind: Namespace
metadata: {name: ` + Pathology + `}
---
apiVersion: v1
kind: Namespace
metadata: {name: ` + Chemistry + `}
`

const workloads = `
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: lis, namespace: ` + Pathology + `}
spec:
  selector: {matchLabels: {department: pathology}}
  enforcement: Enforce
  encryption:
    inTransit:
      provider: Application
      issuerRef: {name: lab-ca}
      certificate: {services: [lis]}
      ports:
      - name: mllp
        port: 2575
        allowFrom:
        - labWorkload: {name: analyzer-gateway, namespace: ` + Chemistry + `}
  network:
    egress:
    - kubernetesAPI: true
  images: {maxAge: 2160h, warnBefore: 168h}
---
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: analyzer-gateway, namespace: ` + Chemistry + `}
spec:
  selector: {matchExpressions: [{key: app, operator: In, values: [analyzer-gateway]}, {key: retired, operator: DoesNotExist}]}
  enforcement: Enforce
  network:
    egress:
    - labWorkload: {name: lis, namespace: ` + Pathology + `}
  images: {maxAge: 2160h}
---
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: imports, namespace: ` + Chemistry + `}
spec:
  selector: {matchExpressions: [{key: batch.kubernetes.io/job-name, operator: Exists}]}
  enforcement: Enforce
  images: {maxAge: 2160h, onUnknownAge: Warn}
---
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: portal, namespace: ` + Chemistry + `}
spec:
  selector: {matchLabels: {app: portal}}
  enforcement: Enforce
  images: {maxAge: 2160h, onStale: Hold}
`

// deployment is a Deployment of one container.
func deployment(namespace, name, image string) string {
	return fmt.Sprintf(`
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  selector: {matchLabels: {app: %[2]s}}
  template:
    metadata: {labels: {app: %[2]s, department: pathology}}
    spec:
      containers:
      - {name: %[2]s, image: "%[3]s"}
`, namespace, name, image)
}
