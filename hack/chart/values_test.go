// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// A key that Helm does not know would be a setting that somebody believes in.
func TestWrongValuesAreRefusedByName(t *testing.T) {
	for path, test := range map[string]struct {
		value any
		want  string
	}{
		"replica":                                {3, "additional properties 'replica' not allowed"},
		"image.repo":                             {"x", "at '/image': additional properties 'repo' not allowed"},
		"crds.enabled":                           {true, "at '/crds'"},
		"networkPolicy.enable":                   {true, "at '/networkPolicy'"},
		"prometheus.rules":                       {true, "at '/prometheus'"},
		"configuration.trustDomian":              {"lab.example", "at '/configuration': additional properties 'trustDomian' not allowed"},
		"configuration.admission.waits":          {"1s", "at '/configuration/admission'"},
		"configuration.access.tokens.age":        {"1h", "at '/configuration/access/tokens'"},
		"replicas":                               {0, "at '/replicas': minimum"},
		"image.repository":                       {"registry.lab.example/labguard:1.2", "at '/image/repository'"},
		"image":                                  {map[string]any{"repository": "labguard@sha256:" + strings.Repeat("0", 64)}, "at '/image/repository'"},
		"image.tag":                              {1.2, "at '/image/tag': got number, want string"},
		"image.digest":                           {"0123", "at '/image/digest'"},
		"image.pullPolicy":                       {"Sometimes", "at '/image/pullPolicy': value must be one of"},
		"logLevel":                               {"loud", "at '/logLevel'"},
		"configuration.trustDomain":              {"Lab.Example", "at '/configuration/trustDomain'"},
		"configuration.issuers":                  {[]any{map[string]any{"kind": "VaultIssuer", "name": "a"}}, "at '/configuration/issuers/0/kind'"},
		"configuration.excludedNamespaces":       {[]any{"*"}, "at '/configuration/excludedNamespaces/0'"},
		"configuration.dns.nodeLocal":            {[]any{"169.254.20.10"}, "at '/configuration/dns/nodeLocal/0'"},
		"configuration.registries":               {[]any{map[string]any{"host": "a", "mirror": "b"}}, "at '/configuration/registries/0'"},
		"configuration.admission.wait":           {"2", "at '/configuration/admission/wait'"},
		"configuration.airlock.image":            {"airlock:latest", "at '/configuration/airlock/image'"},
		"configuration.access.trusted":           {[]any{map[string]any{"kind": "Role", "name": "a"}}, "at '/configuration/access/trusted/0/kind'"},
		"extraVolumes":                           {[]any{map[string]any{}}, "missing property 'name'"},
		"resources":                              {"small", "at '/resources'"},
		"configuration.access.breakGlassGroup":   {[]any{"a"}, "at '/configuration/access/breakGlassGroup'"},
		"configuration.certManagerUser":          {"jane", "at '/configuration/certManagerUser'"},
		"configuration.trustDomains":             {map[string]any{}, "at '/configuration/trustDomains'"},
		"configuration.externalAuthorities":      {[]any{map[string]any{"roots": "x"}}, "missing property 'name'"},
		"configuration.gitOpsNamespaces":         {"argocd", "at '/configuration/gitOpsNamespaces'"},
		"configuration.nodeAddresses":            {[]any{"node-1"}, "at '/configuration/nodeAddresses/0'"},
		"imagePullSecrets":                       {[]any{"registry"}, "at '/imagePullSecrets/0'"},
		"podAnnotations":                         {map[string]any{"a": true}, "at '/podAnnotations/a'"},
		"podAnnotations.checksum/configuration":  {"x", "at '/podAnnotations/checksum~1configuration'"},
		"prometheus.labels":                      {map[string]any{nameLabel: "other"}, "at '/prometheus/labels/app.kubernetes.io~1name'"},
		"podLabels":                              {map[string]any{nameLabel: "other"}, "at '/podLabels/app.kubernetes.io~1name': value must be 'labguard'"},
		"tolerations":                            {map[string]any{}, "at '/tolerations'"},
		"configuration.registries.0":             {"x", "at '/configuration/registries'"},
		"configuration.clusterDomain":            {"", "at '/configuration/clusterDomain'"},
		"networkPolicy.egress":                   {map[string]any{}, "at '/networkPolicy/egress'"},
		"configuration.access.machines":          {[]any{map[string]any{"serviceaccount": "ci"}}, "additional properties 'serviceaccount' not allowed"},
		"configuration.dns.service":              {"kube.dns", "at '/configuration/dns/service'"},
		"configuration.access.tokens.maxAge":     {"1 day", "at '/configuration/access/tokens/maxAge'"},
		"networkPolicy":                          {nil, "missing property 'networkPolicy'"},
		"configuration":                          {nil, "missing property 'configuration'"},
		"configuration.externalAuthorities.name": {"x", "at '/configuration/externalAuthorities'"},
	} {
		_, err := helmTemplate(t, systemNamespace, newest, values(map[string]any{path: test.value}))
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "values don't meet the specifications") {
			t.Errorf("%s: %v\nwant %q", path, err, test.want)
		}
	}
}

// The manager would end with them: the new pods at once, and those of before, whose configuration is replaced already, at the next drain.
func TestAConfigurationWithoutWhatBelongsTogetherIsRefused(t *testing.T) {
	for configuration, want := range map[string]string{
		"issuers: [{kind: Issuer, name: a}]":                                             "at '/configuration/issuers/0': missing property 'namespace'",
		"issuers: [{kind: ClusterIssuer, namespace: a, name: a}]":                        "at '/configuration/issuers/0/namespace'",
		"trustDomains: [{name: lab.example}]":                                            "missing property 'roots'",
		"externalAuthorities: [{name: analyzers}]":                                       "missing property 'roots'",
		"airlock: {image: 'r.example/airlock@sha256:" + strings.Repeat("0", 64) + "'}":   "missing property 'trustDomains'",
		"access: {machines: [{namespace: ci}]}":                                          "missing property 'serviceAccount'",
		"access: {machines: [{user: ci, serviceAccount: ci}]}":                           "at '/configuration/access/machines/0/serviceAccount'",
		"access: {machines: [{namespace: ci, serviceAccount: ci, issuer: 'https://a'}]}": "at '/configuration/access/machines/0/issuer'",
		"access: {trusted: [{kind: ServiceAccount, name: a}]}":                           "missing property 'namespace'",
		"access: {trusted: [{kind: User, namespace: a, name: a}]}":                       "at '/configuration/access/trusted/0/namespace'",
		"nodeAddresses: [10.0.0.1/99]":                                                   "at '/configuration/nodeAddresses/0'",
		"nodeAddresses: [10.0.0.256/24]":                                                 "at '/configuration/nodeAddresses/0'",
		"dns: {nodeLocal: ['fd00::1/129']}":                                              "at '/configuration/dns/nodeLocal/0'",
		"registries: [{host: a, allowedAddresses: [10.0.0.0/33]}]":                       "at '/configuration/registries/0/allowedAddresses/0'",
	} {
		read := map[string]any{}
		if err := yaml.UnmarshalStrict([]byte(configuration), &read); err != nil {
			t.Fatal(err)
		}
		_, err := helmTemplate(t, systemNamespace, newest, values(map[string]any{"configuration": read}))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %q", configuration, err, want)
		}
	}
}

func TestWithoutAnImageTheChartSaysWhatToDo(t *testing.T) {
	_, err := helmTemplate(t, systemNamespace, newest, map[string]any{})
	if err == nil || !strings.Contains(err.Error(), "image.repository is empty: build the image") {
		t.Errorf("%v", err)
	}
}

// Whoever names a repository alone gets the image that make images has put there: its tag is that of the commit, which Go wants to begin with v.
func TestTheDefaultTagIsThatOfTheRelease(t *testing.T) {
	objects, _ := rendered(t, values(map[string]any{"image.repository": "registry.example/manager", "image.tag": "", "image.digest": ""}))
	loaded, err := loader.Load(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	if pods := podTemplates(t, objects); pods[0].Spec.Containers[0].Image != "registry.example/manager:v"+loaded.Metadata.Version {
		t.Errorf("the image of chart %s is %s", loaded.Metadata.Version, pods[0].Spec.Containers[0].Image)
	}
}

func TestAnImageMayBeInAnyRegistry(t *testing.T) {
	for _, repository := range []string{"labguard", "localhost:5000/labguard", "platform/labguard", "Registry.lab.example:5000/a_b/labguard-manager"} {
		objects, _ := rendered(t, values(map[string]any{"image.repository": repository, "image.tag": "1.2"}))
		if pods := podTemplates(t, objects); pods[0].Spec.Containers[0].Image != repository+":1.2" {
			t.Errorf("%s became %s", repository, pods[0].Spec.Containers[0].Image)
		}
	}
}

func TestTheOldestSupportedKubernetesIsNamed(t *testing.T) {
	for _, version := range []string{"v1.35.9", "v1.35.9-gke.100", "v1.20.0"} {
		_, err := helmTemplate(t, systemNamespace, version, values(nil))
		if err == nil || !strings.Contains(err.Error(), "requires kubeVersion: >="+strings.TrimPrefix(oldest, "v")) || !strings.Contains(err.Error(), version) {
			t.Errorf("Kubernetes %s: %v", version, err)
		}
	}
	for _, version := range []string{oldest, "v1.36.3-eks-1234567", "v1.37.2+k3s1", "v1.38.0"} {
		if _, err := helmTemplate(t, systemNamespace, version, values(nil)); err != nil {
			t.Errorf("Kubernetes %s: %v", version, err)
		}
	}
}

func TestHelmLintsTheChart(t *testing.T) {
	kubernetes, err := common.ParseKubeVersion(newest)
	if err != nil {
		t.Fatal(err)
	}
	lint := action.NewLint()
	lint.Strict, lint.Namespace, lint.KubeVersion = true, systemNamespace, kubernetes
	for name, values := range map[string]map[string]any{"defaults": values(nil), "all values": allValues(t)} {
		result := lint.Run([]string{chartDir}, values)
		if action.HasWarningsOrErrors(result) || result.TotalChartsLinted != 1 {
			t.Errorf("%s: %v, %v", name, result.Messages, result.Errors)
		}
	}
}

type valuesSchema struct {
	Properties           map[string]*valuesSchema `json:"properties"`
	Items                *valuesSchema            `json:"items"`
	AdditionalProperties any                      `json:"additionalProperties"`
}

func readSchema(t *testing.T) *valuesSchema {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(chartDir, "values.schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	read := &valuesSchema{}
	if err := json.Unmarshal(content, read); err != nil {
		t.Fatal(err)
	}
	return read
}

// keys are the dotted paths of all keys below a part of the schema. What has keys refuses others.
func (s *valuesSchema) keys(t *testing.T, path string) []string {
	t.Helper()
	if s.Items != nil {
		return s.Items.keys(t, path)
	}
	if len(s.Properties) > 0 && s.AdditionalProperties != false {
		t.Errorf("%s lets other keys in", path)
	}
	var found []string
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		below := strings.TrimPrefix(path+"."+name, ".")
		found = append(append(found, below), s.Properties[name].keys(t, below)...)
	}
	return found
}

// keysOf are the same of values.
func keysOf(value any, path string, known []string) []string {
	var found []string
	switch one := value.(type) {
	case map[string]any:
		for name, child := range one {
			below := strings.TrimPrefix(path+"."+name, ".")
			if slices.Contains(known, below) {
				found = append(append(found, below), keysOf(child, below, known)...)
			}
		}
	case []any:
		for _, child := range one {
			found = append(found, keysOf(child, path, known)...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func TestEveryKeyOfTheSchemaIsTriedAndEveryDefaultDescribed(t *testing.T) {
	known := readSchema(t).keys(t, "")
	slices.Sort(known)
	if diff := cmp.Diff(known, keysOf(allValues(t), "", known)); diff != "" {
		t.Errorf("testdata/all.yaml (-schema +file):\n%s", diff)
	}
	content, err := os.ReadFile(filepath.Join(chartDir, "values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	defaults := map[string]any{}
	if err := yaml.UnmarshalStrict(content, &defaults); err != nil {
		t.Fatal(err)
	}
	for _, key := range known {
		if key == "global" || strings.HasPrefix(key, "configuration.") || strings.HasPrefix(key, "imagePullSecrets.") {
			continue
		}
		if _, inDefaults := lookUp(defaults, strings.Split(key, ".")); !inDefaults {
			t.Errorf("values.yaml does not show %s", key)
		}
	}
}

func lookUp(values map[string]any, path []string) (any, bool) {
	value, found := values[path[0]]
	child, isMap := value.(map[string]any)
	if !found || len(path) == 1 || !isMap {
		return value, found && len(path) == 1
	}
	return lookUp(child, path[1:])
}

// The manager refuses keys that it does not know, and the chart those that are not in the schema: they have to be the same.
func TestTheSchemaHasTheKeysOfTheConfigurationFile(t *testing.T) {
	structs := map[string]*ast.StructType{}
	for _, dir := range []string{"cmd/manager", "internal/registry"} {
		paths, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(parsed, func(node ast.Node) bool {
				if spec, isType := node.(*ast.TypeSpec); isType {
					if one, isStruct := spec.Type.(*ast.StructType); isStruct {
						structs[spec.Name.Name] = one
					}
				}
				return true
			})
		}
	}
	want := fields(structs, &ast.Ident{Name: "configuration"}, "configuration")
	slices.Sort(want)
	got := readSchema(t).Properties["configuration"].keys(t, "configuration")
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" || len(want) < 40 {
		t.Errorf("%d keys (-manager +schema):\n%s", len(want), diff)
	}
}

// fields are the dotted paths of the keys of a type. A type that is no struct of ours has none.
func fields(structs map[string]*ast.StructType, of ast.Expr, path string) []string {
	switch one := of.(type) {
	case *ast.StarExpr:
		return fields(structs, one.X, path)
	case *ast.ArrayType:
		return fields(structs, one.Elt, path)
	case *ast.SelectorExpr:
		return fields(structs, one.Sel, path)
	case *ast.Ident:
		var found []string
		if structs[one.Name] == nil {
			return nil
		}
		for _, field := range structs[one.Name].Fields.List {
			if field.Tag == nil {
				continue
			}
			key, options, _ := strings.Cut(reflect.StructTag(strings.Trim(field.Tag.Value, "`")).Get("json"), ",")
			if options == "inline" {
				found = append(found, fields(structs, field.Type, path)...)
				continue
			}
			found = append(append(found, path+"."+key), fields(structs, field.Type, path+"."+key)...)
		}
		return found
	default:
		return nil
	}
}

// What the documentation shows of the configuration file can be pasted into the values.
func TestTheDocumentedConfigurationIsLetIn(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(root, "docs", "configuration.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(content), "```yaml\n")[1:]
	if len(blocks) == 0 {
		t.Fatal("docs/configuration.md shows nothing")
	}
	for _, block := range blocks {
		text, _, _ := strings.Cut(block, "```")
		configuration := map[string]any{}
		// A shortened digest is no digest.
		if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(text, "4f6c...", strings.Repeat("0", 64))), &configuration); err != nil {
			t.Fatal(err)
		}
		if _, err := helmTemplate(t, systemNamespace, newest, values(map[string]any{"configuration": configuration})); err != nil {
			t.Errorf("%v for\n%s", err, text)
		}
	}
}

// What Argo CD and Flux are told of the chart.
func TestTheChartTakesTheValuesOfGitOps(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0", 64)
	for file, at := range map[string]struct{ path, values, namespace []string }{
		"argocd/labguard.yaml":  {[]string{"source", "path"}, []string{"source", "helm", "valuesObject"}, []string{"destination", "namespace"}},
		"flux/helmrelease.yaml": {[]string{"chart", "spec", "chart"}, []string{"values"}, []string{"targetNamespace"}},
	} {
		content, err := os.ReadFile(filepath.Join(root, "docs", "gitops", file))
		if err != nil {
			t.Fatal(err)
		}
		objects := decode(t, string(content))
		spec := asMap(t, objects[len(objects)-1].Object["spec"])
		find := func(path []string) any {
			found, there, err := unstructured.NestedFieldNoCopy(spec, path...)
			if !there || err != nil {
				t.Fatalf("%s has no spec.%s: %v", file, strings.Join(path, "."), err)
			}
			return found
		}
		if path := find(at.path); filepath.Join(root, path.(string)) != filepath.Clean(chartDir) {
			t.Errorf("%s is of %s", file, path)
		}
		values, namespace := asMap(t, find(at.values)), find(at.namespace).(string)
		if _, err := helmTemplate(t, namespace, newest, values); err == nil {
			t.Errorf("%s: the chart takes a digest that is none", file)
		}
		asMap(t, values["image"])["digest"] = digest
		made, err := helmTemplate(t, namespace, newest, values)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if image := "registry.lab.example/labguard/manager@" + digest; !strings.Contains(made.Manifest, image) {
			t.Errorf("%s: nothing runs %s", file, image)
		}
	}
}
