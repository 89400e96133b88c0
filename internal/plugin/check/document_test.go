// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labguard/labguard/internal/plugin/check"
)

// outline is what was read of a file, a line for each object and remark.
func outline(parsed check.Parsed) string {
	var text strings.Builder
	for _, one := range parsed.Objects {
		fmt.Fprintf(&text, "%s %s %s/%s\n", one.Place(), one.Kind, one.Namespace, one.Name)
	}
	for _, one := range parsed.Skipped {
		fmt.Fprintf(&text, "skipped %s: %s\n", one.Place, one.Text)
	}
	for _, one := range parsed.Broken {
		fmt.Fprintf(&text, "broken %s: %s\n", one.Place, one.Text)
	}
	return text.String()
}

const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: x}\n"

func TestObjectsAreFoundWithTheLineAtWhichTheyBegin(t *testing.T) {
	t.Parallel()
	const noObject = "it is no Kubernetes object: it has no apiVersion and kind\n"
	for what, one := range map[string]struct{ text, want string }{
		"one":                           {pod, "f:1 Pod x/a\n"},
		"several, with comments":        {"# first\n" + pod + "---\n# none\n---\n\n" + pod + "--- # the last\n" + pod, "f:2 Pod x/a\nf:9 Pod x/a\nf:13 Pod x/a\n"},
		"windows":                       {strings.ReplaceAll("---\n"+pod+"---\n"+pod, "\n", "\r\n"), "f:2 Pod x/a\nf:6 Pod x/a\n"},
		"a byte order mark":             {"\ufeff" + pod, "f:1 Pod x/a\n"},
		"behind the mark of a document": {"--- {apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x}}\n", "f:1 Pod x/a\n"},
		"dashes within a text":          {pod + "data: |\n  ---\n  a\n", "f:1 Pod x/a\n"},
		"a list":                        {"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: b}\n", "f:4 Pod /a\nf:7 Pod /b\n"},
		"a list of a kind":              {"apiVersion: v1\nkind: PodList\nitems:\n- metadata: {name: a}\n", "f:4 Pod /a\n"},
		"an empty list":                 {"apiVersion: v1\nkind: List\nitems: []\n", ""},
		"a list with something else":    {"apiVersion: v1\nkind: List\nitems:\n- 7\n", "skipped f:4: " + noObject},
		"a kind that ends with List":    {"apiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: a}\n", "f:1 AllowList /a\n"},
		"JSON":                          {"{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}}", "f:1 Pod /a\n"},
		"JSON objects in a row":         {"{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"a\"}}\n\n{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"b\"}}\n", "f:1 Pod /a\nf:3 Pod /b\n"},
		"a generated name":              {"apiVersion: batch/v1\nkind: Job\nmetadata: {generateName: a-}\n", "f:1 Job /a-*\n"},
		"values":                        {"replicas: 1\n", "skipped f:1: " + noObject},
		"a list of texts":               {"- a\n- b\n", "skipped f:1: " + noObject},
		"a kind that is no text":        {"apiVersion: v1\nkind: 7\n", "skipped f:1: it is no Kubernetes object: kind is a number\n"},
		"nothing":                       {" \n\n", "skipped f: it is empty\n"},
		"comments alone":                {"# nothing\n", ""},
		"keys that stand twice":         {"kind: a\nb: 1\nb: 2\n", "broken f:3: it is no YAML that can be read: key \"b\" already set in map\n"},
		"broken, and the rest is read":  {pod + "---\na: b: c\n---\n" + pod, "f:1 Pod x/a\nf:7 Pod x/a\nbroken f:5: it is no YAML that can be read: mapping values are not allowed in this context\n"},
		"a template":                    {"{{ if .Values.a }}\nkind: a\n{{ end }}\n", "broken f:1: it is no YAML as it stands, and looks like a template: render it first, as with helm template CHART | kubectl labguard check -f -\n"},
		"a program":                     {"\x7fELF\x00\x01", "broken f: it is no text: manifests are YAML or JSON, in UTF-8\n"},
		"another encoding":              {"a: \xe4\n", "broken f: it is not in UTF-8: store it anew in that encoding\n"},
		"too much":                      {strings.Repeat("#", check.MaxFile+1), "broken f: the file has more than 32 MiB: split it, or name the directory of the manifests alone\n"},
		"aliases of aliases":            {pod + "---\n" + bomb(), "f:1 Pod x/a\nbroken f:11: " + tooLong},
		"aliases of a long text":        {"a: &a " + strings.Repeat("x", 1<<20) + "\nb:\n" + strings.Repeat("- *a\n", 200_000), "broken f:10: " + tooLong},
		"a long text merged":            {"a: &a {x: " + strings.Repeat("x", 1<<20) + "}\nb:\n" + strings.Repeat("- <<: *a\n", 20), "broken f:10: " + tooLong},
		"a value within itself":         {"a: &a [*a]\n", "broken f:1: it is no YAML that can be read: anchor 'a' value contains itself\n"},
		"aliases of many documents":     {manyAliases(), manyAliased()},
	} {
		if diff := cmp.Diff(one.want, outline(check.Parse("f", []byte(one.text)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
}

const tooLong = "the aliases of the document stand for more than 8 MiB: write out once what each stands for, or split the document\n"

// manyAliases are documents of which none is too much alone.
func manyAliases() string {
	return strings.Repeat("a: &a "+strings.Repeat("x", 1<<10)+"\nb: ["+strings.TrimSuffix(strings.Repeat("*a, ", 7<<10), ", ")+"]\n---\n", 6)
}

func manyAliased() string {
	const noObject = "it is no Kubernetes object: it has no apiVersion and kind\n"
	var text strings.Builder
	for i := range 4 {
		fmt.Fprintf(&text, "skipped f:%d: %s", 3*i+1, noObject)
	}
	for i := range 2 {
		fmt.Fprintf(&text, "broken f:%d: the aliases of the file stand for more than 32 MiB: write out once what each stands for, or split the file\n", 3*i+13)
	}
	return text.String()
}

// bomb is a short text that would become a list of 10^9 numbers.
func bomb() string {
	var text strings.Builder
	text.WriteString("a0: &a0 [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]\n")
	for i := range 8 {
		fmt.Fprintf(&text, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	return text.String()
}

func TestOfAFileOfMillionsOfDocumentsNoMoreAreReadThanThereMayBe(t *testing.T) {
	t.Parallel()
	const tooMany = "the file has more than 50000 documents or objects: split it, or name the directory of the manifests alone\n"
	millions := func(text string) string { return strings.Repeat(text, check.MaxFile/len(text)-1) }
	for what, one := range map[string]struct {
		text, want string
		said       int
	}{
		"documents of JSON":   {millions("{}"), "broken f: " + tooMany, 1},
		"documents of YAML":   {millions("---\na\n"), "broken f: " + tooMany, 1},
		"items that are none": {"{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": [" + strings.Repeat("7,", 100_000) + "7]}", "broken f:1: " + tooMany, check.MaxDocuments + 1},
		"items of lists": {strings.Repeat("{\"apiVersion\": \"v1\", \"kind\": \"PodList\", \"items\": ["+strings.Repeat("{\"metadata\":{}},\n", 20_000)+"{}]}\n", 5),
			"broken f:40003: " + tooMany, check.MaxDocuments + 1},
	} {
		parsed := check.Parse("f", []byte(one.text))
		if said := outline(check.Parsed{Broken: parsed.Broken}); said != one.want || parsed.Said() != one.said {
			t.Errorf("%s: %d objects and remarks, want %d: %s", what, parsed.Said(), one.said, said)
		}
	}
}

func TestEachObjectOfALongListHasItsLine(t *testing.T) {
	t.Parallel()
	const item = "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n"
	parsed := check.Parse("f", []byte("apiVersion: v1\nkind: List\nitems:\n"+strings.Repeat(item, 2000)))
	if len(parsed.Objects) != 2000 || len(parsed.Broken) > 0 {
		t.Fatalf("%d objects, %v", len(parsed.Objects), parsed.Broken)
	}
	for i, object := range parsed.Objects {
		if got := object.PlaceOf("kind"); got.Line != 3*i+5 {
			t.Fatalf("object %d stands at %s, want line %d", i, got, 3*i+5)
		}
	}
}

// BenchmarkLines shows that the lines of a list cost in proportion to its length: ns/object stays the same.
func BenchmarkLines(b *testing.B) {
	const item = "- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n"
	for _, count := range []int{1000, 10_000, check.MaxDocuments} {
		parsed := check.Parse("f", []byte("apiVersion: v1\nkind: List\nitems:\n"+strings.Repeat(item, count)))
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			for b.Loop() {
				for _, object := range parsed.Objects {
					object.PlaceOf("kind")
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(count), "ns/object")
		})
	}
}

func TestALineIsThatOfTheFieldOrOfWhatIsNearest(t *testing.T) {
	t.Parallel()
	const text = "kind: List\napiVersion: v1\nitems:\n- kind: Deployment\n  apiVersion: apps/v1\n  metadata: {name: a}\n  spec:\n    template:\n      spec:\n" +
		"        containers:\n        - name: a\n          image: a:1\n        - {name: b,\n           image: \"b:1\"}\n    other: &same\n      x: 1\n    alias: *same\n"
	object := check.Parse("f", []byte(text)).Objects[0]
	for _, one := range []struct {
		line int
		path []any
	}{
		{4, nil},
		{12, []any{"spec", "template", "spec", "containers", 0, "image"}},
		{14, []any{"spec", "template", "spec", "containers", 1, "image"}},
		{10, []any{"spec", "template", "spec", "containers", 2, "image"}},
		{16, []any{"spec", "alias", "x"}},
		{7, []any{"spec", "nothing", "below"}},
	} {
		if got := object.PlaceOf(one.path...); got.Line != one.line {
			t.Errorf("%v stands at %v, want line %d", one.path, got, one.line)
		}
	}
}

// Whoever wrote it meant an object, and kubectl refuses it: to skip it would let everything in that it says something about.
func TestWhatWasMeantToBeAnObjectIsNotSkipped(t *testing.T) {
	t.Parallel()
	for text, broken := range map[string]bool{
		"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: 2024}\n":                               true,
		"apiVersion: labguard.dev/v1alpha1\nkind: LabWorkload\nmetadata: {name: 2024}\n":                true,
		"apiVersion: apps/v1\nknid: Deployment\nmetadata: {name: lis}\n":                                true,
		"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {namespace: 1}}\n": true,
		"apiVersion: v2\nname: chart\nversion: 0.1.0\n":                                                 false,
		"kind: DaemonSet\nimage: {tag: 1}\n":                                                            false,
		"apiVersion: 1\nmetadata: {name: x}\n":                                                          false,
		"apiVersion: kustomize.config.k8s.io/v1beta1\nmetadata: {name: x}\nresources: []\n":             false,
	} {
		parsed := check.Parse("a.yaml", []byte(text))
		if len(parsed.Broken) == 1 != broken || len(parsed.Skipped) == 1 == broken || len(parsed.Objects) > 0 {
			t.Errorf("%s: %+v", text, parsed)
		}
	}
}

// What kubectl applies is looked at, however it is dressed: clients take for a list whatever has items, tell keys by their case, and no key may stand twice.
func TestNothingHidesAnObjectThatIsApplied(t *testing.T) {
	t.Parallel()
	const pod = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}`
	for text, want := range map[string]string{
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"items":[` + pod + `]}`:                                  "Pod a",
		`{"apiVersion":"v1","kind":"List","items":[` + pod + `],"Items":[]}`:                                                    "Pod a",
		"apiVersion: v1\nkind: List\nitems: [" + pod + "]\nitem\u017f: []\n":                                                    "Pod a",
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"Kind":"ConfigMap"}`:                                           "Pod a",
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a","namespace":"other"},"metadata":{"name":"a"}}`:                  "broken",
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{"containers":[{"name":"a","image":"b","image":"c"}]}}`: "broken",
	} {
		parsed := check.Parse("a.yaml", []byte(text))
		got := ""
		for _, one := range parsed.Objects {
			got += one.Kind + " " + one.Name
		}
		if len(parsed.Broken) > 0 {
			got += "broken"
		}
		if got != want {
			t.Errorf("%s: %q, want %q: %+v", text, got, want, parsed)
		}
	}
}

func TestFilesForOtherToolsAreNamedWithTheReason(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		file, text string
		inChart    bool
		want       string
	}{
		{"lis/templates/a.yaml", "kind: {{ .Values.kind }}\n", true, "a template of a Helm chart"},
		{"lis/templates/sub/a.yaml", "kind: {{ .Values.kind }}\n", true, "a template of a Helm chart"},
		{"lis/values-lab.yaml", "kind: b\napiVersion: a\n", true, "belongs to a Helm chart"},
		{"lis/Chart.yaml", "apiVersion: v2\nname: lis\n", true, "belongs to a Helm chart"},
		{"lis/kustomization.yaml", "resources: [a.yaml]\n", false, "for kustomize"},
		{"lis/kustomization.yml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n", false, "for kustomize"},
		{"lis/component.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n", false, "for kustomize"},
	} {
		parsed := check.ParseFile(one.file, []byte(one.text), one.inChart)
		if len(parsed.Objects)+len(parsed.Broken) > 0 || len(parsed.Skipped) != 1 || !strings.Contains(parsed.Skipped[0].Text, one.want) {
			t.Errorf("%s: %s", one.file, outline(parsed))
		}
	}
	for _, file := range []string{"lis/templates/plain.yaml", "deploy/kustomization.yaml"} {
		if parsed := check.ParseFile(file, []byte(pod), true); len(parsed.Objects) != 1 {
			t.Errorf("%s: %s", file, outline(parsed))
		}
	}
}

func FuzzManifestsAreReadOrNamed(f *testing.F) {
	for _, seed := range []string{pod, "--- \n" + pod + "---", `{"apiVersion":"v1","kind":"List","items":[{"kind":"Pod"}]}`, "a: &a [1]\nb: [*a, *a]", "a: &a [*a]", "? {a: b}\n: c", "<<: {a: 1}", "{{", "\t\ta", "- - - -",
		"a: &a " + strings.Repeat("x", 1<<10) + "\nb: [" + strings.Repeat("*a, ", 10<<10) + "]", "a: &a [&b [*a], *b]", "&a *a", "{}{}{}", `{"apiVersion":"v1","kind":"List","items":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		parsed := check.Parse("f", content)
		lines := strings.Count(string(content), "\n") + 1
		for _, object := range parsed.Objects {
			for _, place := range []check.Place{object.Place(), object.PlaceOf("spec", "template", "spec", "containers", 0, "image")} {
				if place.Line < 1 || place.Line > lines {
					t.Errorf("%s is no line of %d", place, lines)
				}
			}
			world := &check.World{}
			if _, known := world.Declare(object, false); !known && object.Judged() {
				world.Judge(object, 0)
			}
		}
		for _, one := range append(parsed.Skipped, parsed.Broken...) {
			if one.Text == "" || one.Line > lines {
				t.Errorf("%s: %q", one.Place, one.Text)
			}
		}
	})
}
