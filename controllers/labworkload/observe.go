// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package labworkload

import (
	"cmp"
	"slices"
	"strings"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
)

// group is one distinct image of one platform with all that is said about where to find it.
type group struct {
	sighting
	elsewhere []string
	// remembered says that the facts are those of the last report, since this process has none yet.
	remembered bool
}

// asks are all references that may be asked about for some sightings, sorted.
func asks(seen []sighting) []string {
	var references []string
	for i := range seen {
		one := &seen[i]
		references = append(references, one.reference, one.query.Reference)
		if one.elsewhere != "" {
			references = append(references, one.elsewhere)
		}
		if tagged, ok := posture.Tagged(one.reference); ok {
			references = append(references, tagged)
		}
	}
	slices.Sort(references)
	return slices.Compact(references)
}

// observe gathers sightings into distinct images with the facts that are known of each. Facts that are not known yet are asked for.
func (r *Reconciler) observe(s *scope, requirement posture.ImageRequirement, seen []sighting) []posture.ObservedImage {
	groups := grouped(seen)
	observed := make([]posture.ObservedImage, len(groups))
	at := map[string]int{}
	for i, one := range groups {
		at[one.key()] = i
		facts, query, found := r.factsOf(one)
		if facts.Unknown != "" {
			s.unknown = append(s.unknown, query)
		}
		if !found {
			facts, one.remembered = remembered(s.workload.Status.Images, &one.sighting, facts)
		}
		observed[i] = posture.ObservedImage{Reference: one.reference, Running: one.running, Facts: facts}
		r.lookAtTag(s, requirement, one, &observed[i])
	}
	for i := range seen {
		one, image := &seen[i], &observed[at[seen[i].key()]]
		image.Declared = image.Declared || one.declared
		if !one.declared {
			image.Pods++
		}
		image.Admission = worseAdmission(image.Admission, one.admission)
	}
	slices.SortFunc(observed, func(a, b posture.ObservedImage) int {
		return cmp.Or(cmp.Compare(a.Reference, b.Reference), cmp.Compare(a.Running, b.Running))
	})
	return observed
}

func (s *sighting) key() string {
	return s.reference + "\n" + s.running + "\n" + s.query.Platform.String()
}

// grouped are the distinct images among sightings. Two nodes may know one image by different names: each is a place to look.
func grouped(seen []sighting) []*group {
	var groups []*group
	byKey := map[string]*group{}
	for i := range seen {
		one := &seen[i]
		g := byKey[one.key()]
		if g == nil {
			g = &group{sighting: *one}
			byKey[one.key()] = g
			groups = append(groups, g)
		}
		if one.elsewhere != "" {
			g.elsewhere = append(g.elsewhere, one.elsewhere)
		}
		g.bare = cmp.Or(g.bare, one.bare)
	}
	for _, g := range groups {
		slices.Sort(g.elsewhere)
		g.elsewhere = slices.Compact(g.elsewhere)
	}
	return groups
}

// factsOf asks for an image where it may be: in the repository that is declared, then in those that nodes name, and for a bare digest among the
// configurations that are known. query is what was asked last; found is false while that is on its way.
func (r *Reconciler) factsOf(g *group) (facts posture.ImageFacts, query posture.ImageQuery, found bool) {
	query = g.query
	if g.bare != "" {
		if facts, found = r.ofConfiguration(g.bare); found {
			return facts, query, true
		}
	}
	facts, found = r.Facts.Lookup(query)
	if g.running == "" || facts.Unknown != v1alpha1.ReasonImageNotFound {
		return facts, query, found
	}
	for _, elsewhere := range g.elsewhere {
		query.Reference = elsewhere
		facts, found = r.Facts.Lookup(query)
		if !missing(facts.Unknown) {
			return facts, query, found
		}
	}
	if g.bare != "" {
		query.Reference = g.reference
		facts, found = r.Facts.Lookup(query)
		if !found || facts.ConfigDigest == g.bare {
			return facts, query, found
		}
	}
	return posture.ImageFacts{
		Unknown: v1alpha1.ReasonNotInRegistry,
		Detail:  "no repository that the pod or its node names has what runs: it was loaded into the node by hand, or is gone from the registry since",
	}, g.query, true
}

// missing says whether a place has been asked and does not have an image, or is none.
func missing(reason string) bool {
	return reason == v1alpha1.ReasonImageNotFound || reason == v1alpha1.ReasonInvalidReference
}

func (r *Reconciler) ofConfiguration(digest string) (posture.ImageFacts, bool) {
	known, ok := r.Facts.(FactsByConfiguration)
	if !ok {
		return posture.ImageFacts{}, false
	}
	facts, found := known.OfConfig(digest)
	return facts, found && facts.Unknown == ""
}

// lookAtTag says what the tag of an image means by now, where that matters: the tag of what runs may have moved, and what is stale, too young or
// soon stale may have a fresher build.
func (r *Reconciler) lookAtTag(s *scope, requirement posture.ImageRequirement, g *group, image *posture.ObservedImage) {
	tagged, ok := posture.Tagged(g.reference)
	wanted := posture.WantsFresher(posture.JudgeImage(requirement, g.reference, image.Facts, s.now))
	runsTag := g.running != "" && tagged == g.reference
	if !ok || !wanted && !runsTag {
		return
	}
	query := g.query
	query.Reference = tagged
	s.seeksFresher = s.seeksFresher || wanted
	now, found := r.Facts.Lookup(query)
	if !found || g.remembered {
		if before := reported(s.workload.Status.Images, &g.sighting); before != nil {
			image.Moved, image.Fresher = before.Reason == v1alpha1.ReasonRunsOtherDigest, before.Fresher
		}
		return
	}
	image.Moved = runsTag && posture.RunsOther(image.Facts, now)
	image.Fresher = posture.Fresher(image.Facts, now, s.now)
}

// reported is what the last report says of an image; nil if nothing.
func reported(images []v1alpha1.ImageStatus, one *sighting) *v1alpha1.ImageStatus {
	_, digest, _ := strings.Cut(one.running, "@")
	at := slices.IndexFunc(images, func(image v1alpha1.ImageStatus) bool {
		return image.Reference == one.reference && (digest == "" || image.Digest == digest)
	})
	if at < 0 {
		return nil
	}
	return &images[at]
}

// remembered is what the last report says of an image, while this process asks for it the first time: a restart is no news. The gate never
// believes it.
func remembered(images []v1alpha1.ImageStatus, one *sighting, otherwise posture.ImageFacts) (facts posture.ImageFacts, found bool) {
	image := reported(images, one)
	if image == nil || image.Answer == posture.ImageExempt {
		return otherwise, false
	}
	facts = posture.ImageFacts{Digest: image.Digest, Platform: posture.ParsePlatform(image.Platform)}
	if image.SameContentSince != nil {
		facts.SameContentSince = image.SameContentSince.Time
	}
	switch {
	case image.Created == nil:
		facts.Unknown = image.Reason
	case image.Evidence == string(posture.EvidenceHistory):
		facts.HistoryCreated = image.Created.Time
	case image.Evidence == string(posture.EvidenceAnnotation):
		facts.AnnotationCreated = image.Created.Time
	default:
		facts.ConfigCreated = image.Created.Time
	}
	return facts, true
}
