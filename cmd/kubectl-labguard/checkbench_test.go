// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// manyManifests is how many files the benchmark has, each a Deployment with two images of its own.
const manyManifests = 500

// BenchmarkCheck says how long the program takes for 500 manifests whose facts are known: by the cache of an earlier run, or by ImageRecords in a file.
func BenchmarkCheck(b *testing.B) {
	top := b.TempDir()
	plugin := filepath.Join(top, "kubectl-labguard")
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", plugin, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	write := func(name string, content []byte) {
		path := filepath.Join(top, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			b.Fatal(err)
		}
	}
	now := time.Now().UTC()
	cache := cachedImages{Version: cacheVersion, Contents: map[string]posture.Content{}, Tags: map[string]cachedTag{}}
	var records v1alpha1.ImageRecordList
	records.TypeMeta = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ImageRecordList"}
	known := func(number int) (tag, digest string) {
		tag, digest = fmt.Sprintf("registry.example/lab/app-%d:1.%d", number, number), fmt.Sprintf("sha256:%064x", number)
		created := now.AddDate(0, 0, -number%180)
		cache.Contents[digest] = posture.Content{Digest: digest, Reference: tag, FirstSeen: now, Platform: posture.Platform{OS: "linux", Architecture: "amd64"}, ConfigCreated: created}
		cache.Tags[tag] = cachedTag{Digest: digest, At: now}
		records.Items = append(records.Items, v1alpha1.ImageRecord{
			ObjectMeta: metav1.ObjectMeta{Name: v1alpha1.ImageRecordName(digest)},
			Spec:       v1alpha1.ImageRecordSpec{Digest: digest, Reference: tag, FirstSeen: metav1.NewTime(now), Image: &v1alpha1.ImageContent{Platform: "linux/amd64", Created: &metav1.Time{Time: created}}},
		})
		return tag, digest
	}
	for i := range manyManifests {
		tag, _ := known(2 * i)
		_, digest := known(2*i + 1)
		write(fmt.Sprintf("manifests/app-%d.yaml", i), fmt.Appendf(nil, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: app-%d, namespace: pathology, labels: {app: lis}}\nspec:\n  replicas: 2\n"+
			"  selector: {matchLabels: {app: lis}}\n  template:\n    metadata: {labels: {app: lis}}\n    spec:\n      initContainers: [{name: prepare, image: %q}]\n      containers:\n      - name: app\n"+
			"        image: %q\n        ports: [{containerPort: 2575}]\n        env: [%s]\n        resources: {limits: {memory: 512Mi}}\n", i, "registry.example/lab/app@"+digest, tag,
			strings.TrimSuffix(strings.Repeat("{name: A, value: a}, ", 20), ", ")))
	}
	write("manifests/labworkload.yaml", []byte(enforcing))
	encode := func(name string, content any) {
		encoded, err := json.Marshal(content)
		if err != nil {
			b.Fatal(err)
		}
		write(name, encoded)
	}
	encode("facts/records.json", records)
	for name, arguments := range map[string][]string{
		"cache":   {"--cache-dir", filepath.Join(top, "cache")},
		"records": {"--cache-dir", filepath.Join(top, "none"), "--offline", "--facts", filepath.Join(top, "facts")},
	} {
		b.Run(name, func(b *testing.B) {
			for tag, meant := range cache.Tags { // a run a few seconds ago has looked them up
				meant.At = time.Now().UTC()
				cache.Tags[tag] = meant
			}
			encode("cache/images.json", cache)
			for b.Loop() {
				command := exec.CommandContext(b.Context(), plugin, append([]string{"check", "-f", filepath.Join(top, "manifests")}, arguments...)...)
				out, err := command.Output()
				var code *exec.ExitError
				if !errors.As(err, &code) || code.ExitCode() != exitBad || !strings.Contains(string(out), "500 objects:") || strings.Contains(string(out), "not known") {
					b.Fatalf("%v: %s", err, out[max(0, len(out)-500):])
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/check")
		})
	}
}
