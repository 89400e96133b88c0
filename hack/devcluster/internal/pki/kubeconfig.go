// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package pki

import (
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// WriteKubeconfig writes a kubeconfig to file with which leaf reaches server.
// Keys are in it, not beside it, so that it works wherever it is copied to.
func WriteKubeconfig(file, server string, serverAuthority *Authority, leaf *Leaf) error {
	ca, err := os.ReadFile(serverAuthority.CertFile)
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	certificate, err := os.ReadFile(leaf.CertFile)
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	key, err := os.ReadFile(leaf.KeyFile)
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	const name = "devcluster"
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{Server: server, CertificateAuthorityData: ca}
	config.AuthInfos[name] = &api.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	content, err := clientcmd.Write(*config)
	if err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	// A kubeconfig is a private key: it is never readable by others, not even
	// before the rename.
	temporary := file + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	if err := os.Rename(temporary, file); err != nil {
		return fmt.Errorf("write kubeconfig: %w", err)
	}
	return nil
}
