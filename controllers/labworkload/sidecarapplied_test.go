// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"path"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/desired/transit"
	"github.com/labguard/labguard/internal/posture"
)

// mounted is the digest of what is mounted into a pod, as its airlock says it.
func (l *sidecarLab) mounted(target posture.AirlockTarget) string {
	l.Helper()
	digest, err := mounted(l.Context(), l, l.namespace, target)
	if err != nil {
		l.Fatal(err)
	}
	return digest
}

// mounted is the digest of the document for an airlock in a namespace; "" while there is none.
func mounted(ctx context.Context, c client.Reader, namespace string, target posture.AirlockTarget) (string, error) {
	document := &corev1.ConfigMap{}
	key := client.ObjectKey{Namespace: namespace, Name: desired.ChildName(path.Base(target.ID))}
	if err := c.Get(ctx, key, document); err != nil {
		return "", client.IgnoreNotFound(err)
	}
	sum := sha256.Sum256([]byte(document.Data[transit.DocumentKey]))
	return hex.EncodeToString(sum[:]), nil
}

// What an airlock said a moment before Strict was entered shows nothing of Strict.
func TestStrictIsShownByReportsOfStrict(t *testing.T) {
	l := newSidecarLab(t)
	l.arrange()
	l.settle("lis", "engine")
	l.issued("lis", "engine")
	for _, app := range []string{"lis", "engine"} {
		l.delete(&corev1.Pod{}, app+"-old")
	}
	l.pod("lis", "lis-new", "10.1.0.3")
	l.pod("engine", "engine-new", "10.1.0.4")
	l.settle("lis", "engine")
	before := ""
	l.airlocks.say = func(target posture.AirlockTarget) posture.AirlockFacts {
		said := l.fine(target)
		if before == "" && path.Base(target.ID) == "lis" {
			before = said.Report.Configuration
		}
		if path.Base(target.ID) == "lis" {
			said.Report.Configuration = before
		}
		return said
	}
	l.clock.Step(24*time.Hour + time.Second)
	l.settle("lis", "engine")
	lis := l.expect("lis", v1alpha1.TransitStageStrict, v1alpha1.ReasonNoRecentProof)
	if answer := meta.FindStatusCondition(lis.Status.Conditions, v1alpha1.ConditionTransitEncrypted); !strings.Contains(answer.Message, "pod lis-new has not said yet") {
		t.Errorf("message %q", answer.Message)
	}
	l.airlocks.say = l.fine
	l.settle("lis", "engine")
	l.expect("lis", v1alpha1.TransitStageStrict, v1alpha1.ReasonMutualTLS)

	// From then on a configuration that is on its way takes nothing back.
	l.airlocks.say = func(target posture.AirlockTarget) posture.AirlockFacts {
		said := l.fine(target)
		said.Report.Configuration = before
		return said
	}
	l.settle("lis", "engine")
	l.expect("lis", v1alpha1.TransitStageStrict, v1alpha1.ReasonMutualTLS)
}
