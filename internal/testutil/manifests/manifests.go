// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"fmt"
	"strings"
)

// Images are references to images of each sort. LabWorkloads of the corpus allow 90 days.
type Images struct {
	// Fresh is days old, Stale most of a year, Young an hour; Undated carries no date, and Missing is not there.
	Fresh, Stale, Young, Undated, Missing string
	// FreshDigest and StaleDigest name a digest, StaleBoth a tag and a digest where the tag means a fresher build by now.
	FreshDigest, StaleDigest, StaleBoth string
	// Exempt is stale, and in the repository ExemptRepository.
	Exempt, ExemptRepository string
	// Latest is fresh, and has no tag.
	Latest string
}

// File is one file of the corpus.
type File struct{ Name, Text string }

// Kinds are those that the gate judges.
var Kinds = []string{"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob", "Pod", "Rollout"}

// policies are the namespaces of the corpus, each with what its LabWorkload says about images; the name of the corpus goes before.
var policies = []struct{ namespace, images string }{
	{"deny", "{maxAge: 2160h}"},
	{"hold", "{maxAge: 2160h, onStale: Hold, onUnknownAge: Hold}"},
	{"warn", "{maxAge: 2160h, onStale: Warn}"},
	{"audit", "{maxAge: 2160h, enforcement: Audit}"},
	{"strict", "{maxAge: 2160h, minAge: 72h, onUnknownAge: Deny}"},
}

// Namespaces are those that the corpus needs. name tells corpora apart.
func Namespaces(name string) []string {
	all := []string{name + "-free"}
	for _, policy := range policies {
		all = append(all, name+"-"+policy.namespace)
	}
	return all
}

// Enforcing are the namespaces in which something enforces images.
func Enforcing(name string) []string {
	return []string{name + "-deny", name + "-hold", name + "-warn", name + "-strict"}
}

// LabWorkloads are those of the corpus. In the namespace strict there is a second one, which only warns: the stricter counts.
func LabWorkloads(name string, images Images) string {
	var text strings.Builder
	write := func(namespace, lw, selector, images string) {
		fmt.Fprintf(&text, "---\napiVersion: labguard.dev/v1alpha1\nkind: LabWorkload\nmetadata: {name: %s, namespace: %s-%s}\n"+
			"spec:\n  enforcement: Enforce\n  selector: %s\n  images: %s\n", lw, name, namespace, selector, images)
	}
	for _, policy := range policies {
		exempt := fmt.Sprintf("%s, exempt: [{pattern: %q, reason: a vendor without builds, expires: \"2199-01-01T00:00:00Z\"}]}",
			strings.TrimSuffix(policy.images, "}"), images.ExemptRepository)
		write(policy.namespace, "lis", "{matchLabels: {app: lis}}", exempt)
	}
	write("strict", "all", "{matchExpressions: [{key: app, operator: In, values: [lis, gateway]}]}", "{maxAge: 2160h, onStale: Warn}")
	return text.String()
}

// Files are the corpus: more than a hundred files.
func Files(name string, images Images) []File {
	var files []File
	add := func(format string, args ...any) func(text string) {
		return func(text string) {
			files = append(files, File{Name: fmt.Sprintf("%03d-", len(files)) + fmt.Sprintf(format, args...) + ".yaml", Text: text})
		}
	}
	for _, namespace := range []string{"deny", "hold"} {
		for _, kind := range Kinds {
			for _, one := range []struct{ what, image string }{{"fresh", images.Fresh}, {"stale", images.Stale}, {"undated", images.Undated}} {
				add("%s-%s-%s", namespace, strings.ToLower(kind), one.what)(Manifest(kind, name+"-"+namespace, strings.ToLower(kind)+"-"+one.what, containers(one.image)))
			}
		}
	}
	for i, kind := range Kinds {
		lower := strings.ToLower(kind)
		init := fmt.Sprintf("initContainers: [{name: init, image: %q}]\n%s", images.Stale, containers(images.Fresh))
		add("init-%s", lower)(Manifest(kind, name+"-deny", lower+"-init", init))
		add("strict-%s", lower)(Manifest(kind, name+"-strict", lower+"-young", containers(images.Young)))
		add("quiet-%s", lower)(Manifest(kind, name+"-"+[]string{"warn", "audit", "free"}[i%3], lower+"-quiet", containers(images.Stale)))
		other := strings.ReplaceAll(Manifest(kind, name+"-deny", lower+"-other", containers(images.Stale)), "app: lis", "app: other")
		add("other-%s", lower)(other)
		digest := []string{images.FreshDigest, images.StaleDigest, images.StaleBoth}[i%3]
		add("digest-%s", lower)(Manifest(kind, name+"-deny", lower+"-digest", containers(digest)))
	}
	for _, one := range []struct{ what, image string }{
		{"exempt", images.Exempt}, {"latest", images.Latest}, {"missing", images.Missing}, {"undated", images.Undated}, {"both", images.StaleBoth},
	} {
		for _, namespace := range []string{"deny", "strict", "hold"} {
			add("%s-%s", one.what, namespace)(Manifest("Deployment", name+"-"+namespace, "app-"+one.what, containers(one.image)))
		}
	}
	return append(files, special(name, images, len(files))...)
}

func containers(images ...string) string {
	var list []string
	for i, image := range images {
		list = append(list, fmt.Sprintf("{name: c%d, image: %q}", i, image))
	}
	return "containers: [" + strings.Join(list, ", ") + "]"
}

// Manifest is one object with pods that have the label app=lis.
func Manifest(kind, namespace, name, pod string) string {
	head := func(version string) string {
		return fmt.Sprintf("apiVersion: %s\nkind: %s\nmetadata:\n  name: %s\n  namespace: %s\n", version, kind, name, namespace)
	}
	const selector = "  selector: {matchLabels: {app: lis}}\n"
	template := func(pod string) string {
		return "  template:\n    metadata: {labels: {app: lis}}\n    spec:\n" + indented(6, pod)
	}
	once := pod + "\nrestartPolicy: Never"
	switch kind {
	case "Pod":
		return head("v1") + "  labels: {app: lis}\nspec:\n" + indented(2, pod)
	case "ReplicationController":
		return head("v1") + "spec:\n  selector: {app: lis}\n" + template(pod)
	case "Job":
		return head("batch/v1") + "spec:\n" + template(once)
	case "CronJob":
		return head("batch/v1") + "spec:\n  schedule: \"0 3 * * *\"\n  jobTemplate:\n    spec:\n" + indented(4, template(once))
	case "StatefulSet":
		return head("apps/v1") + "spec:\n  serviceName: lis\n" + selector + template(pod)
	case "Rollout":
		return head("argoproj.io/v1alpha1") + "spec:\n" + selector + template(pod)
	default:
		return head("apps/v1") + "spec:\n" + selector + template(pod)
	}
}

func indented(by int, text string) string {
	space := strings.Repeat(" ", by)
	return space + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n"+space) + "\n"
}

// special are objects with something of their own, and files as tools write them.
func special(name string, images Images, count int) []File {
	deny, held := name+"-deny", name+"-hold"
	hook := strings.Replace(Manifest("Job", held, "hook", containers(images.Stale)), "metadata:\n", "metadata:\n  annotations: {helm.sh/hook: pre-upgrade}\n", 1)
	sync := strings.Replace(Manifest("Deployment", held, "sync", containers(images.Stale)), "metadata:\n", "metadata:\n  annotations: {argocd.argoproj.io/hook: Sync}\n", 1)
	onDelete := strings.Replace(Manifest("StatefulSet", held, "ondelete", containers(images.Stale)), "spec:\n", "spec:\n  updateStrategy: {type: OnDelete}\n", 1)
	node := Manifest("Pod", held, "on-a-node", containers(images.Stale)+"\nnodeName: node-1")
	forged := strings.Replace(Manifest("Deployment", deny, "forged", containers(images.Stale)), "metadata:\n",
		"metadata:\n  annotations: {labguard.dev/admitted: \""+images.Stale+"\"}\n", 1)
	generated := strings.Replace(Manifest("Job", deny, "x", containers(images.Stale)), "  name: x\n", "  generateName: nightly-\n", 1)
	job := Manifest("Job", deny, "by-job-name", containers(images.Stale))
	files := []File{
		{"hook", hook}, {"sync-hook", sync}, {"ondelete", onDelete}, {"nodename", node}, {"forged", forged}, {"generated", generated}, {"job-name", job},
		{"two-images", Manifest("Deployment", deny, "two", containers(images.Fresh, images.Stale))},
		{"two-reasons", Manifest("Deployment", deny, "reasons", containers(images.Stale, images.Undated, images.Latest))},
		{"helm", helm(name, images)}, {"list", list(name, images)},
		{"volume", Manifest("Pod", deny, "volume", containers(images.Fresh)+"\nvolumes: [{name: reference-data, image: {reference: \""+images.Stale+"\"}}]")},
		{"multi", "# by hand\n---\n" + Manifest("Deployment", deny, "one", containers(images.Fresh)) + "---\n---\n" + Manifest("DaemonSet", deny, "two", containers(images.Stale))},
	}
	for i := range files {
		files[i].Name = fmt.Sprintf("%03d-%s.yaml", count+i, files[i].Name)
	}
	return files
}

// helm is a chart as helm template renders it.
func helm(name string, images Images) string {
	deployment := Manifest("Deployment", name+"-deny", "release-lis", containers(images.Stale))
	deployment = strings.Replace(deployment, "metadata:\n", "metadata:\n  labels:\n    helm.sh/chart: lis-1.2.3\n    app.kubernetes.io/name: lis\n    app.kubernetes.io/instance: release\n"+
		"    app.kubernetes.io/managed-by: Helm\n  annotations:\n    meta.helm.sh/release-name: release\n", 1)
	test := strings.Replace(Manifest("Pod", name+"-hold", "release-test", containers(images.Stale)), "metadata:\n", "metadata:\n  annotations:\n    \"helm.sh/hook\": test\n", 1)
	return "---\n# Source: lis/templates/service.yaml\napiVersion: v1\nkind: Service\nmetadata:\n  name: release-lis\n  namespace: " + name + "-deny\nspec:\n  ports: [{port: 80}]\n" +
		"---\n# Source: lis/templates/deployment.yaml\n" + deployment +
		"---\n# Source: lis/templates/backup.yaml\n" + Manifest("CronJob", name+"-hold", "release-backup", containers(images.Fresh)) +
		"---\n# Source: lis/templates/empty.yaml\n---\n# Source: lis/templates/tests/test.yaml\n" + test
}

// list is what kubectl get -o yaml writes.
func list(name string, images Images) string {
	item := func(text string) string { return "- " + strings.TrimPrefix(indented(2, text), "  ") }
	return "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: \"\"}\nitems:\n" +
		item(Manifest("Deployment", name+"-deny", "listed-fresh", containers(images.Fresh))) +
		item(Manifest("StatefulSet", name+"-deny", "listed-stale", containers(images.Stale))) +
		item(Manifest("Job", name+"-hold", "listed-held", containers(images.Stale)))
}
