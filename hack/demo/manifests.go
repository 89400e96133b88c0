// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/labguard/labguard/hack/demo/tour"

const namespaces = `
apiVersion: v1
kind: Namespace
metadata: {name: labguard-system}
---` + tour.Namespaces

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
