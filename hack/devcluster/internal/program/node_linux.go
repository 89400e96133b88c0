// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"context"

	"github.com/spf13/cobra"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"github.com/labguard/labguard/hack/devcluster/internal/component"
	"github.com/labguard/labguard/hack/devcluster/internal/enforcer"
	"github.com/labguard/labguard/hack/devcluster/internal/node"
)

// nodePrograms are those of a node, which needs Linux.
var nodePrograms = map[string]Program{
	component.Kubelet:   cobraProgram(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	component.Proxy:     cobraProgram(proxy.NewProxyCommand),
	component.Node:      node.Init,
	component.NodeParts: node.Parts,
	component.Policy:    enforcer.Main,
}
