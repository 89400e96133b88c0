// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"fmt"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"

	"github.com/labguard/labguard/internal/testutil/operator"
)

func TestAnOwnerDoesNotKeepAHoldForEver(t *testing.T) {
	operator.Start(t, operator.Options{})
	t.Run("a Job that somebody made from a held CronJob is released", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("lis", holdStale)
		stale := operator.Push(l, "around-c:1", 200*day)
		l.apply(manifests("lis", stale)["cronjob"])
		l.may("create", "job", "by-hand", "--from=cronjob/lis")
		suspended := func(want bool) func(*batchv1.Job) error {
			return func(j *batchv1.Job) error {
				if got := j.Spec.Suspend != nil && *j.Spec.Suspend; got != want {
					return fmt.Errorf("suspended: %t", got)
				}
				return nil
			}
		}
		until(l, "by-hand", "is held", suspended(true))
		operator.Push(l, "around-c:1", day)
		until(l, "by-hand", "is released", suspended(false))
	})
	t.Run("a held Deployment that gets an owner is released", func(t *testing.T) {
		t.Parallel()
		l := newLab(t)
		l.govern("lis", holdStale)
		l.apply(deployment("lis", operator.Push(l, "around-d:1", 200*day)))
		until(l, "lis", "held", isPaused(true))
		l.may("create", "configmap", "own")
		uid := strings.TrimSpace(l.kubectl("get", "configmap", "own", "-n", l.namespace, "-o", "jsonpath={.metadata.uid}"))
		l.may("patch", "deployment", "lis", "--type=merge", "-p",
			fmt.Sprintf(`{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"own","uid":%q,"controller":true}]}}`, uid))
		operator.Push(l, "around-d:1", day)
		until(l, "lis", "released", isPaused(false))
	})
}
