// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"slices"

	"github.com/labguard/labguard/hack/devcluster/internal/component"
	"github.com/labguard/labguard/hack/devcluster/internal/node"
)

const (
	serviceIPs     = "10.96.0.0/16"
	firstServiceIP = "10.96.0.1"
)

// setup is all that the arguments of the components depend on.
type setup struct {
	layout
	ports
	identities
	// authenticationConfig is the file that says whose tokens the API server takes
	// besides its own; empty for none.
	authenticationConfig string
	// node is the network and more of the node; nil without one.
	node *nodeParts
}

// arguments are the command line of the component called name.
func (s setup) arguments(name string) []string {
	switch name {
	case component.Etcd:
		return s.etcdArguments()
	case component.APIServer:
		return s.apiServerArguments()
	case component.ControllerManager:
		return s.controllerManagerArguments()
	case component.Scheduler:
		return s.schedulerArguments()
	case component.CertManager:
		return []string{s.kubeconfigFlag("kubeconfig", name), "--health-address=" + address(s.CertManager)}
	case component.Policy:
		return []string{s.kubeconfigFlag("kubeconfig", name), "--address=" + address(s.Policy)}
	}
	return nil
}

func (s setup) etcdArguments() []string {
	const name = "devcluster"
	client, peer := "https://"+address(s.Etcd), "https://"+address(s.EtcdPeer)
	return []string{
		"--name=" + name,
		"--data-dir=" + s.etcdData(),
		"--listen-client-urls=" + client,
		"--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer,
		"--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=" + name + "=" + peer,
		"--cert-file=" + s.etcdServer.CertFile,
		"--key-file=" + s.etcdServer.KeyFile,
		"--trusted-ca-file=" + s.etcdCA.CertFile,
		"--client-cert-auth",
		"--peer-cert-file=" + s.etcdServer.CertFile,
		"--peer-key-file=" + s.etcdServer.KeyFile,
		"--peer-trusted-ca-file=" + s.etcdCA.CertFile,
		"--peer-client-cert-auth",
		// A power cut may lose this cluster; waiting for the disk costs seconds.
		"--unsafe-no-fsync",
		// It is alone, so nobody can be slower to vote than it is itself.
		"--heartbeat-interval=20",
		"--election-timeout=100",
		"--log-level=warn",
	}
}

func (s setup) apiServerArguments() []string {
	const issuer = "https://kubernetes.default.svc.cluster.local"
	return slices.Concat(s.apiServerAddress(), s.apiServerAuthentication(), []string{
		"--secure-port=" + itoa(s.APIServer),
		"--etcd-servers=https://" + address(s.Etcd),
		"--etcd-cafile=" + s.etcdCA.CertFile,
		"--etcd-certfile=" + s.etcdClient.CertFile,
		"--etcd-keyfile=" + s.etcdClient.KeyFile,
		"--tls-cert-file=" + s.server.CertFile,
		"--tls-private-key-file=" + s.server.KeyFile,
		"--client-ca-file=" + s.ca.CertFile,
		"--requestheader-client-ca-file=" + s.frontProxyCA.CertFile,
		"--requestheader-allowed-names=" + frontProxyName,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + s.frontProxy.CertFile,
		"--proxy-client-key-file=" + s.frontProxy.KeyFile,
		"--service-account-issuer=" + issuer,
		"--service-account-key-file=" + s.serviceAccountKey(),
		"--service-account-signing-key-file=" + s.serviceAccountKey(),
		"--service-cluster-ip-range=" + serviceIPs,
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--profiling=false",
		"--audit-policy-file=" + s.auditPolicy(),
		"--audit-log-path=" + s.auditLog(),
		"--audit-log-format=json",
		// A test that counts requests reads the log right after the last one.
		"--audit-log-mode=blocking",
	})
}

// apiServerAuthentication adds to the certificates and tokens of this cluster and
// takes none of them away.
func (s setup) apiServerAuthentication() []string {
	if s.authenticationConfig == "" {
		return nil
	}
	return []string{"--authentication-config=" + s.authenticationConfig}
}

// apiServerAddress is where kube-apiserver listens, and says that it does.
func (s setup) apiServerAddress() []string {
	if s.node != nil {
		return []string{
			// All addresses there are inside of the network of the node.
			"--bind-address=0.0.0.0",
			"--advertise-address=" + node.Address,
			"--kubelet-preferred-address-types=InternalIP",
			"--kubelet-client-certificate=" + s.kubeletClient.CertFile,
			"--kubelet-client-key=" + s.kubeletClient.KeyFile,
		}
	}
	return []string{
		"--bind-address=" + loopback,
		"--advertise-address=" + loopback,
		// It would refuse to advertise a loopback address; nothing here reads the
		// endpoints of the Service "kubernetes".
		"--endpoint-reconciler-type=none",
	}
}

func (s setup) controllerManagerArguments() []string {
	const name = component.ControllerManager
	return []string{
		s.kubeconfigFlag("kubeconfig", name),
		s.kubeconfigFlag("authentication-kubeconfig", name),
		s.kubeconfigFlag("authorization-kubeconfig", name),
		"--bind-address=" + loopback,
		"--secure-port=" + itoa(s.ControllerManager),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + s.serviceAccountKey(),
		"--root-ca-file=" + s.ca.CertFile,
		"--cluster-signing-cert-file=" + s.ca.CertFile,
		"--cluster-signing-key-file=" + s.ca.KeyFile,
		"--service-cluster-ip-range=" + serviceIPs,
		"--leader-elect=false",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--profiling=false",
		// The default is outside of the cluster's folder.
		"--flex-volume-plugin-dir=" + s.volumePlugins(),
	}
}

func (s setup) schedulerArguments() []string {
	const name = component.Scheduler
	return []string{
		s.kubeconfigFlag("kubeconfig", name),
		s.kubeconfigFlag("authentication-kubeconfig", name),
		s.kubeconfigFlag("authorization-kubeconfig", name),
		"--bind-address=" + loopback,
		"--secure-port=" + itoa(s.Scheduler),
		"--leader-elect=false",
		"--profiling=false",
	}
}
