// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestRecordsOfAChangeDoNotCount(t *testing.T) {
	top := files(t, map[string]string{
		"deploy/lw.yaml": enforcing, "deploy/stale.yaml": podOf("r.example/lis:1"), "facts.yaml": facts,
		"deploy/record.yaml": "apiVersion: labguard.dev/v1alpha1\nkind: RolloutRecord\nmetadata: {name: pod-lis, namespace: pathology}\n" +
			"spec: {admitted: [{reference: \"r.example/lis:1\", reason: Fresh, time: \"2026-11-20T00:00:00Z\"}]}\n",
	})
	t.Chdir(top)
	const warning = "Warning: RolloutRecords and ImageRecords among the manifests do not count: only labguard writes these; give them with --facts\n"
	for arguments, want := range map[string]struct {
		code int
		says string
	}{
		"--facts facts.yaml":                               {exitBad, warning + "Skipped deploy/record.yaml:1: 1 RolloutRecord: only labguard writes these, so that they do not count among the manifests"},
		"--facts facts.yaml -o json":                       {exitBad, warning},
		"--facts facts.yaml -o sarif":                      {exitBad, warning},
		"-f facts.yaml":                                    {exitUnanswered, "Skipped facts.yaml:4: 2 ImageRecords: only labguard writes these"},
		"--facts facts.yaml --facts deploy/record.yaml":    {0, "RolloutRecord"},
		"--facts facts.yaml --facts deploy --fail-on held": {0, warning},
	} {
		out, errOut, code, err := checking(t, "", append(strings.Fields(arguments), "-f", "deploy", "--offline")...)
		if code != want.code || !strings.Contains(errOut, want.says) {
			t.Errorf("%s: exit code %d (%v), want %d and %q:\n%s%s", arguments, code, err, want.code, want.says, out, errOut)
		}
	}
}

func TestALabWorkloadThatAChangeWeakensIsWarnedOf(t *testing.T) {
	top := files(t, map[string]string{
		"facts/lw.yaml": enforcing, "facts/facts.yaml": facts, "deploy/stale.yaml": podOf("r.example/lis:1"), "same/lw.yaml": enforcing,
		"weaker/lw.yaml": "# weaker\n" + strings.ReplaceAll(enforcing, "2160h", "21600h"),
	})
	t.Chdir(top)
	for change, want := range map[string]struct {
		code int
		says string
	}{
		"weaker": {0, "Warning: weaker/lw.yaml:2: LabWorkload pathology/lis is not as the cluster or --facts have it, in images, and counts as it is here: who reviews this decides what is enforced\n"},
		// Facts without the defaults of the API server are no difference.
		"same": {exitBad, ""},
	} {
		out, errOut, code, err := checking(t, "", "-f", "deploy", "-f", change, "--facts", "facts", "--offline")
		if code != want.code || errOut != want.says {
			t.Errorf("%s: exit code %d (%v), want %d and %q:\n%s%s", change, code, err, want.code, want.says, out, errOut)
		}
	}
}

func TestALabWorkloadThatIsNotAsTheClusterHasItIsWarnedOf(t *testing.T) {
	top := files(t, map[string]string{
		"deploy/lw.yaml": strings.ReplaceAll(enforcing, "2160h", "87600h"),
		"deploy/new.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: other}\nspec: {template: {metadata: {labels: {app: lis}}, spec: {containers: [" +
			"{name: lis, image: \"registry.example/lab/lis:1.9\"}]}}}\n",
	})
	t.Chdir(top)
	config := clusterAt(t, &server{answers: pathology()})
	out, errOut, code, err := checking(t, "", "-f", "deploy", "--cluster", "--offline", "--kubeconfig", config)
	if code != 0 || !strings.Contains(out, "1 object: 1 let in\n") || !strings.Contains(errOut, "Warning: deploy/lw.yaml:1: LabWorkload pathology/lis is not as the cluster or --facts have it, in ") {
		t.Errorf("exit code %d, %v:\n%s%s", code, err, out, errOut)
	}
	if _, errOut, _, err = checking(t, "", "-f", "deploy/lw.yaml", "--cluster", "--offline", "--kubeconfig", config); err != nil || !strings.Contains(errOut, "is not as the cluster or --facts have it, in ") {
		t.Errorf("changed alone: %v:\n%s", err, errOut)
	}
	if out, errOut, code, err = checking(t, "", "-f", "deploy/new.yaml", "--cluster", "--offline", "--kubeconfig", config); code != exitBad || errOut != "" {
		t.Errorf("exit code %d, %v:\n%s%s", code, err, out, errOut)
	}
}
