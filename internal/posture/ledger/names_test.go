// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package ledger_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/labguard/labguard/internal/posture/ledger"
)

func TestRecordName(t *testing.T) {
	tests := map[string]struct{ kind, name, want string }{
		"is kind and name":                         {"Deployment", "lis", "deployment-lis"},
		"is lower case, as names of objects are":   {"ReplicationController", "old", "replicationcontroller-old"},
		"is shared by Jobs":                        {"Job", "nightly-29", "run-once"},
		"is shared by bare pods":                   {"Pod", "debug", "run-once"},
		"does not count a CronJob among the Jobs":  {"CronJob", "nightly", "cronjob-nightly"},
		"keeps a dot in the name":                  {"Rollout", "lis.v2", "rollout-lis.v2"},
		"fits exactly at 253 characters, unhashed": {"Job2", strings.Repeat("a", 248), "job2-" + strings.Repeat("a", 248)},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if got := ledger.RecordName(test.kind, test.name); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestALongRecordNameIsAValidNameOfItsOwn(t *testing.T) {
	long := strings.Repeat("a", 235) + "." + strings.Repeat("b", 16)
	first, second := ledger.RecordName("StatefulSet", long+"x"), ledger.RecordName("StatefulSet", long+"y")
	if first == second {
		t.Errorf("two roots share the record %s", first)
	}
	if again := ledger.RecordName("StatefulSet", long+"x"); again != first {
		t.Errorf("the name changes: %s, then %s", first, again)
	}
	for _, name := range []string{first, second} {
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			t.Errorf("%s is no name of an object: %v", name, problems)
		}
	}
	for cut := range 30 { // wherever the cut falls, also behind a dot or a hyphen
		name := ledger.RecordName("Deployment", strings.Repeat("a", 210+cut)+".-"[cut%2:cut%2+1]+strings.Repeat("b", 253-211-cut))
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			t.Errorf("%s is no name of an object: %v", name, problems)
		}
	}
}
