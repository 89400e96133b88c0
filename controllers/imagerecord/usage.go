// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
)

const (
	// maxIndexDepth is how deep an index may lie in an index, as in posture.
	maxIndexDepth = 3
	// maxIndexes is how many indexes that list an image are looked at: anybody may push ever more of them.
	maxIndexes = 100
	// liveFor is how long what the API server has answered stands, so that a thousand records that end at the same instant are one question.
	liveFor = time.Minute
	// pageSize is how many objects a page of the API server has.
	pageSize = 500
)

// Usage says whether anything refers to the image of a record: by its digest, by that of its configuration, or through an index that lists it.
type Usage interface {
	// InUse asks the caches for every kind of reference.
	InUse(ctx context.Context, record *v1alpha1.ImageRecord) (bool, error)
	// InUseLive asks the API server for what LabWorkloads and RolloutRecords refer to, before something is deleted by what a cache has said.
	InUseLive(ctx context.Context, record *v1alpha1.ImageRecord) (bool, error)
}

// Indexed answers from the indexes of IndexFields.
type Indexed struct {
	// Reader answers from caches that have the indexes, Live from the API server.
	Reader, Live client.Reader
	Clock        clock.PassiveClock

	asked   time.Time
	digests map[string]bool
}

// InUse implements Usage.
func (u *Indexed) InUse(ctx context.Context, record *v1alpha1.ImageRecord) (bool, error) {
	return u.anyName(ctx, record, func(digest string) (bool, error) {
		for _, list := range referringLists() {
			err := u.Reader.List(ctx, list, client.MatchingFields{byDigest: digest}, client.Limit(1), client.UnsafeDisableDeepCopy)
			if err != nil {
				return false, fmt.Errorf("look for references to %s in %T: %w", digest, list, err)
			}
			if meta.LenList(list) > 0 {
				return true, nil
			}
		}
		return false, nil
	})
}

// InUseLive implements Usage. It may be asked by one goroutine at a time.
func (u *Indexed) InUseLive(ctx context.Context, record *v1alpha1.ImageRecord) (bool, error) {
	if now := u.Clock.Now(); u.digests == nil || now.Sub(u.asked) >= liveFor {
		digests, err := liveDigests(ctx, u.Live)
		if err != nil {
			return false, err
		}
		u.asked, u.digests = now, digests
	}
	return u.anyName(ctx, record, func(digest string) (bool, error) { return u.digests[digest], nil })
}

// anyName says whether a question is answered with yes for one of the digests that stand for the image of a record. It goes up level by level, and
// looks at each index once, however many of the indexes below list it.
func (u *Indexed) anyName(ctx context.Context, record *v1alpha1.ImageRecord, question func(digest string) (bool, error)) (bool, error) {
	seen := map[string]bool{}
	level := []v1alpha1.ImageRecord{*record}
	for depth := 0; len(level) > 0; depth++ {
		var above []v1alpha1.ImageRecord
		for i := range level {
			one := &level[i]
			if seen[one.Spec.Digest] {
				continue
			}
			seen[one.Spec.Digest] = true
			for _, digest := range append(configOf(one), one.Spec.Digest) {
				if yes, err := question(digest); yes || err != nil {
					return yes, err
				}
			}
			if depth == maxIndexDepth {
				continue
			}
			indexes, err := u.listing(ctx, one.Spec.Digest)
			if err != nil {
				return false, err
			}
			above = append(above, indexes...)
		}
		level = above
	}
	return false, nil
}

// listing are the records of indexes that list a digest. They are those of the cache: nobody may change them.
func (u *Indexed) listing(ctx context.Context, digest string) ([]v1alpha1.ImageRecord, error) {
	var indexes v1alpha1.ImageRecordList
	err := u.Reader.List(ctx, &indexes, client.MatchingFields{byListed: digest}, client.Limit(maxIndexes), client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, fmt.Errorf("look for indexes that list %s: %w", digest, err)
	}
	return indexes.Items, nil
}

// liveDigests are those that LabWorkloads and RolloutRecords refer to: all of the cluster, but few beside its pods.
func liveDigests(ctx context.Context, live client.Reader) (map[string]bool, error) {
	digests := map[string]bool{}
	for _, page := range []func() client.ObjectList{
		func() client.ObjectList { return &v1alpha1.RolloutRecordList{} }, func() client.ObjectList { return &v1alpha1.LabWorkloadList{} },
	} {
		for next := ""; ; {
			list := page() // a new one each time: decoding leaves in an old one what the new page does not have
			if err := live.List(ctx, list, client.Limit(pageSize), client.Continue(next)); err != nil {
				return nil, fmt.Errorf("ask the API server for %T: %w", list, err)
			}
			err := meta.EachListItem(list, func(item runtime.Object) error {
				if object, isObject := item.(client.Object); isObject {
					for _, digest := range digestsOf(object) {
						digests[digest] = true
					}
				}
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("read %T: %w", list, err)
			}
			if next = list.GetContinue(); next == "" {
				break
			}
		}
	}
	return digests, nil
}
