// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"path/filepath"

	"github.com/labguard/labguard/hack/devcluster/internal/component"
	"github.com/labguard/labguard/hack/devcluster/internal/node"
	"github.com/labguard/labguard/hack/devcluster/internal/pki"
)

// identities are the authorities and certificates of one cluster.
type identities struct {
	ca     *pki.Authority
	server *pki.Leaf
	// etcd has an authority of its own: who may talk to the API server, as any
	// holder of a signed certificate may, must not read its store.
	etcdCA     *pki.Authority
	etcdServer *pki.Leaf
	etcdClient *pki.Leaf
	// frontProxy is whom extension servers trust to say who a user is. There are
	// none, but the programs complain in their logs where it is missing.
	frontProxyCA *pki.Authority
	frontProxy   *pki.Leaf
	// kubeletClient is what kube-apiserver is to the kubelet.
	kubeletClient *pki.Leaf
}

// frontProxyName is the only holder of a front proxy certificate.
const frontProxyName = "front-proxy-client"

// clients are the users that have a kubeconfig, by its file's name.
var clients = map[string]pki.Subject{
	"admin":                     {Name: "devcluster-admin", Groups: []string{"system:masters"}},
	component.ControllerManager: {Name: "system:kube-controller-manager"},
	component.Scheduler:         {Name: "system:kube-scheduler"},
	component.CertManager: {
		Name:   "system:serviceaccount:cert-manager:cert-manager",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:cert-manager"},
	},
	component.Kubelet: {Name: "system:node:" + node.Name, Groups: []string{"system:nodes"}},
	component.Proxy:   {Name: "system:kube-proxy"},
	component.Policy:  {Name: "devcluster:network-policy"},
}

// newIdentities makes what is missing of the cluster's keys, and kubeconfigs
// for the API server at server.
func newIdentities(l layout, server string) (identities, error) {
	var ids identities
	var err error
	if ids.ca, err = pki.NewAuthority(l.pki(), "ca"); err != nil {
		return ids, err
	}
	if ids.server, err = ids.ca.Issue(l.pki(), "kube-apiserver", pki.Subject{
		Name: "kube-apiserver",
		Hosts: []string{
			loopback, firstServiceIP, node.Address, "localhost",
			"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		},
	}); err != nil {
		return ids, err
	}
	if err := ids.issueEtcd(l.etcdPKI()); err != nil {
		return ids, err
	}
	if ids.frontProxyCA, err = pki.NewAuthority(l.pki(), "front-proxy-ca"); err != nil {
		return ids, err
	}
	if ids.frontProxy, err = ids.frontProxyCA.Issue(l.pki(), "front-proxy", pki.Subject{Name: frontProxyName}); err != nil {
		return ids, err
	}
	kubeletClient := pki.Subject{Name: "kube-apiserver-kubelet-client", Groups: []string{"devcluster:kubelet-clients"}}
	if ids.kubeletClient, err = ids.ca.Issue(l.pki(), "kubelet-client", kubeletClient); err != nil {
		return ids, err
	}
	if err := pki.NewKey(l.serviceAccountKey()); err != nil {
		return ids, err
	}
	for name, subject := range clients {
		leaf, err := ids.ca.Issue(l.pki(), name, subject)
		if err != nil {
			return ids, err
		}
		if err := pki.WriteKubeconfig(l.kubeconfigOf(name), server, ids.ca, leaf); err != nil {
			return ids, err
		}
		if name == "admin" {
			if err := pki.WriteKubeconfig(l.kubeconfig(), server, ids.ca, leaf); err != nil {
				return ids, err
			}
		}
	}
	return ids, nil
}

func (ids *identities) issueEtcd(dir string) error {
	var err error
	if ids.etcdCA, err = pki.NewAuthority(dir, "ca"); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	if ids.etcdServer, err = ids.etcdCA.Issue(dir, "server", pki.Subject{Name: "etcd", Hosts: []string{loopback}}); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	if ids.etcdClient, err = ids.etcdCA.Issue(dir, "kube-apiserver", pki.Subject{Name: "kube-apiserver"}); err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	return nil
}

// kubeconfigFlag is how a component is told who it is.
func (l layout) kubeconfigFlag(flag, name string) string {
	return "--" + flag + "=" + filepath.Clean(l.kubeconfigOf(name))
}
