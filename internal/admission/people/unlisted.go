// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/internal/posture/access"
)

const (
	// tellEvery is how long a machine is not named again in the log.
	tellEvery = time.Hour
	// maxTold bounds how many are remembered; beyond that all of them may be named again.
	maxTold = 1024
)

// unlisted names machines that are not listed, each once in a while: whoever goes from Audit to Enforce has to know which controllers would be refused, and these read no
// warnings. Some have the names of persons, such as those of a managed control plane: whoever writes without any login is named as well.
type unlisted struct {
	lock sync.Mutex
	told map[[2]string]time.Time
}

// note writes a line about a machine that is refused, or would be under Enforce.
func (u *unlisted) note(ctx context.Context, request *admission.Request, answer *access.Answer, now time.Time) {
	reason := answer.Reason
	if answer.Allowed {
		reason = access.Reason(answer.Annotations[access.AnnotationAudited])
	}
	if reason != access.ReasonUnlistedMachine && (reason != access.ReasonNoClaims || answer.Annotations[access.AnnotationCover] != string(access.Change)) {
		return
	}
	who := [2]string{request.Namespace, fitting(request.UserInfo.Username, maxUser)}
	if !u.due(who, now) {
		return
	}
	log.FromContext(ctx).Info("a machine that is not listed, or somebody without a login, comes where people are asked for one", "reason", reason, "decision", answer.Annotations[access.AnnotationDecision],
		"namespace", who[0], "user", who[1], "operation", request.Operation, "resource", request.Resource.Resource)
}

func (u *unlisted) due(who [2]string, now time.Time) bool {
	u.lock.Lock()
	defer u.lock.Unlock()
	if last, known := u.told[who]; known && now.Sub(last) < tellEvery {
		return false
	}
	if u.told == nil || len(u.told) >= maxTold {
		u.told = map[[2]string]time.Time{}
	}
	u.told[who] = now
	return true
}
