// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"slices"
	"strings"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/rollout"
)

// Seen is a namespace, as far as whoever asks may read it.
type Seen struct {
	Namespace string
	Workloads []v1alpha1.LabWorkload
	Records   []v1alpha1.RolloutRecord
	// Content is what the ImageRecord of a digest says; nil: none can be read.
	Content func(digest string) (posture.Content, bool)
	// Digest is the digest under which a reference was read last; nil: nobody knows. It is asked last.
	Digest func(reference string) (string, bool)
	// Airlock are the images that airlock has in the namespace: what labguard has added to a pod is not judged. Nil: they are not known.
	Airlock []string
	// Platform is what the nodes have in common; zero if that is not known.
	Platform posture.Platform
	Now      time.Time
}

// Basis says where facts about an image come from.
type Basis string

// The bases, the best first.
const (
	// BasisDigest: the reference names the digest itself, so that the facts can be no other.
	BasisDigest Basis = "digest"
	// BasisStatus: what labguard has last seen the tag mean, by the status of a LabWorkload.
	BasisStatus Basis = "status"
	// BasisAdmission: what the tag meant when the image was let in.
	BasisAdmission Basis = "admission"
	// BasisRecord: what the tag meant when labguard read it first.
	BasisRecord Basis = "record"
)

// facts are what is known of an image, and where that comes from; no basis if nothing is.
func (s *Seen) facts(query posture.ImageQuery) (posture.ImageFacts, Basis) {
	status := s.statusOf(query.Reference)
	digest, basis := s.digestOf(query.Reference, status)
	if digest != "" && s.Content != nil {
		if facts, missing := posture.FactsOf(digest, query.Platform, s.Content); missing == "" {
			return facts, basis
		}
	}
	if status != nil && status.Answer == posture.ImageUnknown {
		return posture.ImageFacts{Unknown: status.Reason}, BasisStatus
	}
	if status != nil && status.Created != nil && (digest == "" || digest == status.Digest) {
		return factsOf(status), BasisStatus
	}
	return posture.ImageFacts{Unknown: v1alpha1.ReasonNotResolved, Detail: "labguard has not read it, or you may not read its ImageRecord"}, ""
}

// factsOf are the facts that a status has kept of an image.
func factsOf(status *v1alpha1.ImageStatus) posture.ImageFacts {
	facts := posture.ImageFacts{Digest: status.Digest, Platform: posture.ParsePlatform(status.Platform)}
	switch posture.Evidence(status.Evidence) {
	case posture.EvidenceHistory:
		facts.HistoryCreated = status.Created.UTC()
	case posture.EvidenceAnnotation:
		facts.AnnotationCreated = status.Created.UTC()
	case posture.EvidenceConfig:
		facts.ConfigCreated = status.Created.UTC()
	}
	return facts
}

// statusOf is what a status says of a reference. One that is declared tells more of what the tag means than one that merely runs.
func (s *Seen) statusOf(reference string) *v1alpha1.ImageStatus {
	var found *v1alpha1.ImageStatus
	for i := range s.Workloads {
		images := s.Workloads[i].Status.Images
		for j := range images {
			if images[j].Reference == reference && (found == nil || images[j].Declared && !found.Declared) {
				found = &images[j]
			}
		}
	}
	return found
}

// digestOf is what a reference means, as far as that is known.
func (s *Seen) digestOf(reference string, status *v1alpha1.ImageStatus) (string, Basis) {
	if _, digest, pinned := strings.Cut(reference, "@"); pinned {
		return digest, BasisDigest
	}
	if status != nil {
		switch {
		case strings.HasPrefix(status.Fresher, "sha256:"):
			return status.Fresher, BasisStatus
		case status.Digest != "" && status.Reason != v1alpha1.ReasonRunsOtherDigest:
			return status.Digest, BasisStatus
		}
	}
	if digest := s.admittedDigest(reference); digest != "" {
		return digest, BasisAdmission
	}
	if s.Digest != nil {
		if digest, found := s.Digest(reference); found {
			return digest, BasisRecord
		}
	}
	return "", ""
}

// admittedDigest is what a reference meant when it was let in last.
func (s *Seen) admittedDigest(reference string) string {
	var last v1alpha1.AdmittedImage
	for i := range s.Records {
		for _, image := range s.Records[i].Spec.Admitted {
			if image.Reference == reference && image.Digest != "" && image.Time.After(last.Time.Time) {
				last = image
			}
		}
	}
	return last.Digest
}

// fresher is the digest of a fresher build that the tag of a reference means, as admission says it of references that name a digest too.
func (s *Seen) fresher(write *rollout.Write) func(string) string {
	return func(reference string) string {
		tagged, found := posture.Tagged(reference)
		if !found || tagged == reference {
			return ""
		}
		own, _ := s.facts(write.Query(reference))
		tag, _ := s.facts(write.Query(tagged))
		if digest := posture.Fresher(own, tag, write.Now); digest != posture.FresherNone {
			return digest
		}
		return ""
	}
}

// epoch is what is known of the gate of the namespace; nil if nothing is.
func (s *Seen) epoch() *v1alpha1.Epoch {
	at := slices.IndexFunc(s.Records, func(record v1alpha1.RolloutRecord) bool { return record.Name == v1alpha1.EpochRecordName })
	if at < 0 {
		return nil
	}
	return s.Records[at].Spec.Epoch
}

// InRecovery says whether labguard has seen the namespace in recovery, where the gate lets everything in.
func (s *Seen) InRecovery() bool {
	epoch := s.epoch()
	return epoch != nil && epoch.RecoverySince != nil
}
