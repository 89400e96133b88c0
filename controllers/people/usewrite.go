// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/labguard/labguard/api/v1alpha1"
)

const (
	// maxRequests is how many requests an object lists.
	maxRequests = 20
	// maxShown bounds a user name in an event, which has room for 1 KiB.
	maxShown = 256
	// maxOpen is how many uses may wait for an acknowledgement in one namespace. What comes beyond that changes no answer: the audit log has it.
	maxOpen = 64
	// usePrefix begins the names of the objects.
	usePrefix = "break-glass-"
)

// errNowhere says that no retry helps: the namespace goes or is gone, or the API server takes no such object.
var errNowhere = errors.New("there is no place for it")

// gathered is what is known of some requests of one user in one namespace. The zero value is no request.
type gathered struct {
	first, last time.Time
	count       int64
	requests    []v1alpha1.BreakGlassRequest
}

// one is a single request.
func one(request v1alpha1.BreakGlassRequest) gathered {
	at := request.At.UTC().Truncate(time.Second)
	request.At = metav1.NewTime(at)
	return gathered{first: at, last: at, count: 1, requests: []v1alpha1.BreakGlassRequest{request}}
}

// and are these requests, and then those.
func (g gathered) and(those gathered) gathered {
	switch {
	case g.count == 0:
		return those
	case those.count == 0:
		return g
	}
	both := gathered{first: g.first, last: g.last, count: g.count + those.count}
	if those.first.Before(both.first) {
		both.first = those.first
	}
	if those.last.After(both.last) {
		both.last = those.last
	}
	both.requests = slices.Concat(g.requests, those.requests)
	both.requests = both.requests[:min(len(both.requests), maxRequests)]
	return both
}

// write adds requests to the open use of the user, or opens one. It reads from the API server, since what was acknowledged a moment ago is closed, and
// what another replica has opened is to be found.
func (u *Uses) write(ctx context.Context, at place, requests gathered) error {
	var list v1alpha1.BreakGlassUseList
	if err := u.live.List(ctx, &list, client.InNamespace(at.namespace)); err != nil {
		return fmt.Errorf("list the uses of break glass in namespace %s: %w", at.namespace, err)
	}
	open, latest := standing(list.Items, at.user)
	if open == nil && crowded(list.Items) {
		return fmt.Errorf("%w: %d uses of break glass wait for an acknowledgement in namespace %s", errNowhere, maxOpen, at.namespace)
	}
	if open == nil {
		return u.open(ctx, at, latest, requests)
	}
	open.Spec.Count += requests.count
	if last := metav1.NewTime(requests.last); open.Spec.Last.Before(&last) {
		open.Spec.Last = last
	}
	open.Spec.Requests = append(open.Spec.Requests, requests.requests...)
	open.Spec.Requests = open.Spec.Requests[:min(len(open.Spec.Requests), maxRequests)]
	if err := u.writer.Update(ctx, open, client.FieldOwner(v1alpha1.FieldManager)); err != nil {
		return fmt.Errorf("add to the use of break glass %s/%s: %w", at.namespace, open.Name, err)
	}
	return nil
}

// standing finds the open use of a user, the older of two, and the name of the latest one, open or not.
func standing(uses []v1alpha1.BreakGlassUse, user string) (open *v1alpha1.BreakGlassUse, latest string) {
	var newest *v1alpha1.BreakGlassUse
	for i := range uses {
		use := &uses[i]
		if use.Spec.User != user || use.DeletionTimestamp != nil {
			continue
		}
		if use.Spec.Acknowledgement == nil && (open == nil || use.Spec.First.Before(&open.Spec.First)) {
			open = use
		}
		if newest == nil || newest.Spec.First.Before(&use.Spec.First) {
			newest, latest = use, use.Name
		}
	}
	return open, latest
}

// crowded says that no more uses are opened before some are acknowledged.
func crowded(uses []v1alpha1.BreakGlassUse) bool {
	open := 0
	for i := range uses {
		if uses[i].Spec.Acknowledgement == nil {
			open++
		}
	}
	return open >= maxOpen
}

func (u *Uses) open(ctx context.Context, at place, latest string, requests gathered) error {
	use := &v1alpha1.BreakGlassUse{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: at.namespace, Name: useName(at.user, latest), Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue},
		},
		Spec: v1alpha1.BreakGlassUseSpec{
			User: at.user, First: metav1.NewTime(requests.first), Last: metav1.NewTime(requests.last), Count: requests.count, Requests: requests.requests,
		},
	}
	err := u.writer.Create(ctx, use, client.FieldOwner(v1alpha1.FieldManager))
	if apierrors.IsNotFound(err) || apierrors.IsInvalid(err) || apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return fmt.Errorf("%w: record the use of break glass %s/%s: %w", errNowhere, at.namespace, use.Name, err)
	}
	if err != nil {
		return fmt.Errorf("record the use of break glass %s/%s: %w", at.namespace, use.Name, err)
	}
	log.FromContext(ctx).Info("break glass was used", "namespace", at.namespace, "user", at.user, "name", use.Name)
	u.recorder.Eventf(use, nil, corev1.EventTypeWarning, v1alpha1.ReasonBreakGlassOpen, "Record",
		"break glass was used by %s: look at what was done, then acknowledge it", shortened(at.user, maxShown))
	return nil
}

// useName is made of the user and of the use before it, which is acknowledged: two replicas that open a use at the same time open the same one, and the
// second finds it.
func useName(user, before string) string {
	sum := sha256.Sum256([]byte(before + "\n" + user))
	return usePrefix + hex.EncodeToString(sum[:8])
}

// shortened is text that the API takes: at most limit bytes of UTF-8.
func shortened(text string, limit int) string {
	return strings.ToValidUTF8(text[:min(len(text), limit)], "")
}
