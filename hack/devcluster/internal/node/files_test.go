// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package node

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"
	kubeproxyv1alpha1 "k8s.io/kube-proxy/config/v1alpha1"
	kubeletv1beta1 "k8s.io/kubelet/config/v1beta1"
	"sigs.k8s.io/yaml"
)

func testSettings(t *testing.T) Settings {
	t.Helper()
	dir := t.TempDir()
	return Settings{
		Cluster: dir, Dir: filepath.Join(dir, "node"), Programs: "/cache/node", Debian: "/cache/debian/bin", Self: "/cache/devcluster", Logs: filepath.Join(dir, "logs"),
		Cgroup: "labguard-node-a", Registry: 5000, Policy: 6000, Pause: "127.0.0.1:5000/devcluster/pause:1", ClientCA: "/pki/ca.crt",
		KubeletConfig: "/kubeconfigs/kubelet", ProxyConfig: "/kubeconfigs/kube-proxy", Snapshotter: "overlayfs",
	}
}

// Each program refuses a file with a field that it does not know, or ignores it:
// here it is a failure either way.
func TestFilesAreWhatTheirProgramsRead(t *testing.T) {
	files := testSettings(t).files()
	var kubelet kubeletv1beta1.KubeletConfiguration
	if err := yaml.UnmarshalStrict([]byte(files["kubelet.yaml"]), &kubelet); err != nil {
		t.Errorf("kubelet: %v", err)
	}
	if kubelet.ContainerRuntimeEndpoint != "unix:///run/containerd/containerd.sock" || kubelet.Authentication.X509.ClientCAFile != "/pki/ca.crt" {
		t.Errorf("kubelet: %+v", kubelet)
	}
	var proxy kubeproxyv1alpha1.KubeProxyConfiguration
	if err := yaml.UnmarshalStrict([]byte(files["kube-proxy.yaml"]), &proxy); err != nil || proxy.Mode != "nftables" {
		t.Errorf("kube-proxy: %v, %+v", err, proxy)
	}
	var network struct {
		Plugins []struct{ Type, Enforcer string }
	}
	if err := json.Unmarshal([]byte(files["cni/10-node.conflist"]), &network); err != nil {
		t.Errorf("network: %v", err)
	}
	// The enforcer has to know the pod before anything in it runs, so it is last.
	if last := network.Plugins[len(network.Plugins)-1]; last.Type != "policyplugin" || last.Enforcer != "http://127.0.0.1:6000" {
		t.Errorf("network: %+v", network)
	}
	for name, content := range files {
		if strings.HasSuffix(name, ".toml") {
			var parsed map[string]any
			if err := toml.Unmarshal([]byte(content), &parsed); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for _, host := range []string{"127.0.0.1:5000", "172.30.0.1:5000"} {
		if _, ok := files["registries/"+host+"/hosts.toml"]; !ok {
			t.Errorf("the registry at %s would be asked by HTTPS", host)
		}
	}
}

func TestPrepareKeepsImagesAndForgetsPods(t *testing.T) {
	s := testSettings(t)
	for _, dir := range []string{"containerd/images", "kubelet/pods", "pod-logs/lab_lis_1"} {
		if err := os.MkdirAll(filepath.Join(s.Dir, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	args, err := s.Prepare()
	if err != nil || len(args) != 1 {
		t.Fatalf("got %v, %v", args, err)
	}
	for dir, want := range map[string]bool{"containerd/images": true, "kubelet/pods": false, "pod-logs/lab_lis_1": false} {
		if _, err := os.Stat(filepath.Join(s.Dir, dir)); (err == nil) != want {
			t.Errorf("%s is there: %t, want %t", dir, err == nil, want)
		}
	}
	content, err := os.ReadFile(args[0])
	if err != nil {
		t.Fatal(err)
	}
	var p plan
	if err := json.Unmarshal(content, &p); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, part := range p.Parts {
		names = append(names, part.Name)
	}
	if strings.Join(names, " ") != "containerd kubelet kube-proxy" || p.Bind != s.Dir || p.Cgroup != s.Cgroup || !strings.HasPrefix(p.Path, "/cache/node:/cache/debian/bin:") {
		t.Errorf("got %+v", p)
	}
}
