// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/labguard/labguard/internal/apply"
	"github.com/labguard/labguard/internal/posture"
)

// reissueReason and reissueMessage are of the condition that makes cert-manager issue a certificate anew.
const (
	reissueReason  = "Revoked"
	reissueMessage = "labguard has it issued anew, since it began long before the LabWorkload was made, and peers refuse it for that"
)

// wishes are the certificates that were to be issued anew, and when that was last asked for. The zero value knows of none.
type wishes struct {
	mutex sync.Mutex
	asked map[types.UID]time.Time
}

func (w *wishes) last(certificate types.UID) time.Time {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.asked[certificate]
}

func (w *wishes) note(certificate types.UID, now time.Time) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if w.asked == nil {
		w.asked = map[types.UID]time.Time{}
	}
	w.asked[certificate] = now
}

// forget forgets a certificate of which nothing is wrong any more.
func (w *wishes) forget(certificate types.UID) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	delete(w.asked, certificate)
}

// reissue has cert-manager issue a certificate anew that peers refuse for its age: it came back with its Secret, as from a backup, and cert-manager would renew it
// in days.
func (r *Reconciler) reissue(ctx context.Context, s *scope) error {
	live := s.certificate.object
	if live == nil || s.certificate.taken {
		return nil
	}
	if !s.certificate.revoked {
		r.wishes.forget(live.UID)
		return nil
	}
	var failed time.Time
	if at := live.Status.LastFailureTime; at != nil {
		failed = at.Time
	}
	if !s.sidecar.active || !s.issuerAllowed || !posture.MayIssueAnew(s.now, apply.Issuing(live), r.wishes.last(live.UID), failed) {
		return nil
	}
	if err := apply.Anew(ctx, r.Client, live, s.now, reissueReason, reissueMessage); err != nil {
		return err
	}
	r.wishes.note(live.UID, s.now)
	return nil
}
