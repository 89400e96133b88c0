// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	policyconfig "k8s.io/apiserver/pkg/admission/plugin/policy/config"
	apiserverv1 "k8s.io/apiserver/pkg/apis/apiserver/v1"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/desired/access"
)

// static is the folder of what the administrator of a control plane copies.
const static = "../../../config/static"

// bare is a file without its comments and empty lines.
func bare(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(static, name))
	if err != nil {
		t.Fatal(err)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") && line != "\n" {
			kept.WriteString(line)
		}
	}
	return kept.String()
}

func TestTheExampleOfAFileIsWhatLabguardBuilds(t *testing.T) {
	want, err := access.Static(access.Config{
		Namespaces:   []access.Namespace{{Name: "pathology", Guarded: true}},
		Machines:     []access.Machine{{Namespace: "flux-system", Name: "kustomize-controller"}},
		LabguardUser: "system:serviceaccount:labguard-system:labguard",
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, bare(t, "access.yaml")); diff != "" {
		t.Errorf("config/static/access.yaml (-want +got):\n%s", diff)
	}
}

func TestTheAPIServerTakesTheConfigurationOfItsPlugin(t *testing.T) {
	var configuration apiserverv1.AdmissionConfiguration
	if err := yaml.UnmarshalStrict([]byte(bare(t, "admission.yaml")), &configuration); err != nil {
		t.Fatal(err)
	}
	if len(configuration.Plugins) != 1 || configuration.Plugins[0].Name != "ValidatingAdmissionPolicy" {
		t.Fatalf("it configures %v", configuration.Plugins)
	}
	directory := t.TempDir() // the API server looks whether it is there
	raw := bytes.ReplaceAll(configuration.Plugins[0].Configuration.Raw, []byte("/etc/kubernetes/labguard"), []byte(directory))
	loaded, err := policyconfig.LoadValidatingConfig(bytes.NewReader(raw))
	if err != nil || loaded.StaticManifestsDir != directory {
		t.Errorf("it loads %+v, %v", loaded, err)
	}
}
