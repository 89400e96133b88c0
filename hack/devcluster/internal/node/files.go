// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strconv"
)

// files are what the parts read, by path below the folder of the node.
func (s Settings) files() map[string]string {
	hosts := map[string]string{
		"containerd.toml":      s.containerd(),
		"kubelet.yaml":         s.kubelet(),
		"kube-proxy.yaml":      s.proxy(),
		"cni/10-node.conflist": s.cni(),
		// For pods that ask for the resolver of the node: it has none.
		"resolv.conf": "",
	}
	// The registry is the same at both addresses: tests push to loopback, and a
	// program in a pod finds it at the address of the node.
	for _, host := range []string{"127.0.0.1", Address} {
		registry := host + ":" + strconv.Itoa(s.Registry)
		hosts["registries/"+registry+"/hosts.toml"] = fmt.Sprintf("server = 'http://%s'\n", registry)
	}
	return hosts
}

func (s Settings) containerd() string {
	return fmt.Sprintf(`version = 3
root = '%[1]s/containerd'
state = '%[2]s'
# Without CAP_SYS_RESOURCE it cannot be lowered, and a container that asks for it does not start.
oom_score = 0

[grpc]
address = '%[3]s'

# Its default is a folder of the machine.
[plugins.'io.containerd.internal.v1.opt']
path = '%[1]s/opt'

[plugins.'io.containerd.nri.v1.nri']
disable = true

[plugins.'io.containerd.cri.v1.images']
snapshotter = '%[4]s'

[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '%[5]s'

[plugins.'io.containerd.cri.v1.images'.registry]
config_path = '%[1]s/registries'

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
# They are mounts of the node then, not of the machine.
netns_mounts_under_state_dir = true

[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['%[6]s']
conf_dir = '%[1]s/cni'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'

[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = '%[7]s/runc'
SystemdCgroup = false
`, inside, containerdState, containerdSocket, s.Snapshotter, s.Pause, s.Programs, s.Debian)
}

func (s Settings) kubelet() string {
	return fmt.Sprintf(`apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: 0.0.0.0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: %[1]q}
authorization: {mode: Webhook}
containerRuntimeEndpoint: unix://%[2]s
clusterDomain: cluster.local
clusterDNS: [%[3]q]
resolvConf: %[4]s/resolv.conf
podLogsDir: %[4]s/pod-logs
volumePluginDir: %[4]s/volume-plugins
# Cgroups of either version, without limits for the node as a whole: there is nothing to protect from pods.
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
# Neither a full disk nor the swap of a developer's machine is a reason to evict pods.
failSwapOn: false
evictionHard: {imagefs.available: "0%%", nodefs.available: "0%%", nodefs.inodesFree: "0%%", imagefs.inodesFree: "0%%"}
imageGCHighThresholdPercent: 100
makeIPTablesUtilChains: false
oomScoreAdj: 0
maxPods: 250
# Volumes of Secrets and ConfigMaps change within seconds; the default is a minute.
syncFrequency: 5s
serializeImagePulls: false
nodeStatusUpdateFrequency: 5s
registerNode: true
`, s.ClientCA, containerdSocket, DNSAddress, inside)
}

func (s Settings) proxy() string {
	return fmt.Sprintf(`apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clusterCIDR: %s
clientConnection: {kubeconfig: %q}
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
# The table's size belongs to the machine, and cannot be set from here.
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
nftables: {minSyncPeriod: 100ms, syncPeriod: 30s}
`, PodIPs, s.ProxyConfig)
}

// cni joins each pod to the node by an interface of its own, so that every packet
// between pods is routed, and passes the rules of the enforcer. The last plugin
// returns once those know the pod.
func (s Settings) cni() string {
	return fmt.Sprintf(`{
  "cniVersion": "1.0.0",
  "name": "node",
  "plugins": [
    {
      "type": "ptp",
      "mtu": 1500,
      "ipam": {
        "type": "host-local",
        "dataDir": "/run/cni",
        "ranges": [[{"subnet": %q}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}},
    {"type": "policyplugin", "enforcer": "http://127.0.0.1:%d"}
  ]
}
`, PodIPs, s.Policy)
}
