// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "fmt"

const namespaces = `
apiVersion: v1
kind: Namespace
metadata: {name: labguard-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: ` + pathology + `}
---
apiVersion: v1
kind: Namespace
metadata: {name: ` + chemistry + `}
`

const dnsService = `
apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  selector: {k8s-app: kube-dns}
  ports:
  - {name: dns, port: 53, protocol: UDP, targetPort: 53}
  - {name: dns-tcp, port: 53, protocol: TCP, targetPort: 53}
`

// laboratoryCA is ClusterIssuer lab-ca.
const laboratoryCA = "hack/lab-ca.yaml"

const workloads = `
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: lis, namespace: ` + pathology + `}
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
        - labWorkload: {name: analyzer-gateway, namespace: ` + chemistry + `}
  network:
    egress:
    - kubernetesAPI: true
  images: {maxAge: 2160h, warnBefore: 168h}
---
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: analyzer-gateway, namespace: ` + chemistry + `}
spec:
  selector: {matchExpressions: [{key: app, operator: In, values: [analyzer-gateway]}, {key: retired, operator: DoesNotExist}]}
  enforcement: Enforce
  network:
    egress:
    - labWorkload: {name: lis, namespace: ` + pathology + `}
  images: {maxAge: 2160h}
---
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: imports, namespace: ` + chemistry + `}
spec:
  selector: {matchExpressions: [{key: batch.kubernetes.io/job-name, operator: Exists}]}
  enforcement: Enforce
  images: {maxAge: 2160h, onUnknownAge: Warn}
---
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: portal, namespace: ` + chemistry + `}
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
