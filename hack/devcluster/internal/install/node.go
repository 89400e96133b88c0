// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package install

import (
	"bytes"
	_ "embed"
	"fmt"
	"testing/fstest"
	"text/template"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// DNSName is the name of the Deployment and the Service of DNS, in kube-system.
const DNSName = "kube-dns"

// DNSSelector finds the pods of DNS in kube-system.
const DNSSelector = "k8s-app=kube-dns"

//go:embed node/node.yaml
var nodeManifest string

// NodeObjects are what a cluster with a node has besides: the rights of its parts,
// and DNS from image behind the given ClusterIP.
func NodeObjects(image, clusterIP string) ([]*unstructured.Unstructured, error) {
	const file = "node.yaml"
	parsed, err := template.New(file).Parse(nodeManifest)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of the node: %w", err)
	}
	var content bytes.Buffer
	if err := parsed.Execute(&content, map[string]string{"Image": image, "ClusterIP": clusterIP, "Name": DNSName}); err != nil {
		return nil, fmt.Errorf("fill the manifest of the node: %w", err)
	}
	objects, err := readFile(fstest.MapFS{file: {Data: content.Bytes()}}, file)
	if err != nil {
		return nil, fmt.Errorf("read the manifest of the node: %w", err)
	}
	return objects, nil
}
