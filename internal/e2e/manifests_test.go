// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"fmt"
	"strings"
)

// deployment is an app of the laboratory. Its template has the label app=<name>.
func (l *lab) deployment(name string, replicas, port int, arguments ...string) string {
	probe, ports := "", ""
	if port != 0 {
		probe = fmt.Sprintf("\n        readinessProbe: {tcpSocket: {port: %d}, periodSeconds: 1}", port)
		ports = fmt.Sprintf("\n        ports: [{containerPort: %d}]", port)
	}
	return fmt.Sprintf(`---
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 30
      containers:
      - name: main
        image: %[3]s
        args: [%[4]s]
        env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]
        volumeMounts: [{name: journals, mountPath: /journals}]%[5]s%[6]s
      volumes: [{name: journals, hostPath: {path: %[7]s}}]
`, name, replicas, l.image, quoted(arguments), ports, probe, l.journals)
}

func quoted(words []string) string {
	all := make([]string, len(words))
	for i, word := range words {
		all[i] = fmt.Sprintf("%q", word)
	}
	return strings.Join(all, ", ")
}

func service(name string, port int) string {
	return fmt.Sprintf("---\napiVersion: v1\nkind: Service\nmetadata: {name: %[1]s}\nspec: {selector: {app: %[1]s}, ports: [{port: %[2]d, targetPort: %[2]d}]}\n", name, port)
}

// labWorkload governs app=<name>. allow names the LabWorkloads that may connect to port; port 0 is a mere client.
func labWorkload(name string, port int, more string, allow ...string) string {
	ports := ""
	if port != 0 {
		ports = fmt.Sprintf("\n      ports:\n      - {name: main, port: %d, allowFrom: [%s]}", port, peers(allow))
	}
	return fmt.Sprintf(`---
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: %[1]s}
spec:
  selector: {matchLabels: {app: %[1]s}}
  enforcement: Enforce
  encryption:
    inTransit:
      provider: Sidecar
      stage: Observe
      issuerRef: {name: lab-ca}%[2]s%[3]s
`, name, more, ports)
}

func peers(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = "{labWorkload: {name: " + name + "}}"
	}
	return strings.Join(all, ", ")
}

// allowFrom is peers as JSON.
func allowFrom(names []string) string {
	all := make([]string, len(names))
	for i, name := range names {
		all[i] = fmt.Sprintf(`{"labWorkload":{"name":%q}}`, name)
	}
	return "[" + strings.Join(all, ",") + "]"
}

func podManifest(name, labels, image string, arguments []string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {%s}}\nspec: {restartPolicy: Never, containers: [{name: main, image: %s, args: [%s]}]}\n",
		name, labels, image, quoted(arguments))
}
