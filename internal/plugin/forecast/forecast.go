// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package forecast

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/standing"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/training"
)

// What is what a change is about.
type What string

// The changes.
const (
	ImageStale         What = "ImageStale"
	ImageOldEnough     What = "ImageOldEnough"
	ExemptionEnds      What = "ExemptionEnds"
	CertificateExpires What = "CertificateExpires"
	PlaintextEnds      What = "PlaintextExceptionEnds"
	TrainingEnds       What = "TrainingEnds"
	EnforcementBegins  What = "EnforcementBegins"
	// AnswerOverdue is the one that is past: labguard has not looked since.
	AnswerOverdue What = "AnswerOverdue"
)

// Change is one thing that time alone changes. It is also what programs read.
type Change struct {
	At        time.Time `json:"at"`
	Namespace string    `json:"namespace"`
	// LabWorkload is where it is seen.
	LabWorkload string `json:"labWorkload"`
	What        What   `json:"what"`
	// Of is what changes, such as an image or a course.
	Of string `json:"of"`
	// Note says more, and what helps.
	Note string `json:"note,omitempty"`
	// Harmless says that nothing gets worse by it, or that somebody takes care of it in time: cert-manager renews.
	Harmless bool `json:"harmless,omitempty"`
}

// Facts are what the forecast is made of.
type Facts struct {
	Workloads []v1alpha1.LabWorkload
	// Trainings are the TrainingRecords; nil: they cannot be read.
	Trainings *training.Index
	// Content is what the ImageRecord of a digest says; nil: none can be read. It is asked about exempt images, whose age no status has.
	Content func(digest string) (posture.Content, bool)
	Now     time.Time
}

// Of are the changes until an end, the first at the top, and before them the answers that are overdue.
func Of(facts Facts, end time.Time) []Change {
	var found []Change
	for i := range facts.Workloads {
		lw := &facts.Workloads[i]
		changes := slices.Concat(images(lw), exemptions(lw, facts), certificate(lw, facts.Now), exceptions(lw), trainings(lw, facts, end), enforcement(lw, facts.Now))
		if standing.Overdue(lw, facts.Now) {
			changes = append(changes, overdue(lw))
		}
		for _, one := range changes {
			one.Namespace, one.LabWorkload, one.At = lw.Namespace, lw.Name, one.At.UTC()
			if one.What == AnswerOverdue || one.At.After(facts.Now) && !one.At.After(end) {
				found = append(found, one)
			}
		}
	}
	slices.SortFunc(found, func(a, b Change) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.LabWorkload, b.LabWorkload),
			cmp.Compare(a.What, b.What), cmp.Compare(a.Of, b.Of), cmp.Compare(a.Note, b.Note))
	})
	return slices.Compact(found)
}

// Unlisted is how many images of a LabWorkload its status has no room for, so that they are not in the forecast. The status keeps those that are worst.
func Unlisted(lw *v1alpha1.LabWorkload) int {
	return max(0, int(lw.Status.ImageCount)-len(lw.Status.Images))
}

// Exempt are the digests of exempt images: their ImageRecords say how old they are.
func Exempt(workloads []v1alpha1.LabWorkload) []string {
	var digests []string
	for i := range workloads {
		for _, image := range workloads[i].Status.Images {
			if image.Answer == posture.ImageExempt && image.Digest != "" {
				digests = append(digests, image.Digest)
			}
		}
	}
	slices.Sort(digests)
	return slices.Compact(digests)
}

func images(lw *v1alpha1.LabWorkload) []Change {
	var changes []Change
	if lw.Spec.Images == nil {
		return nil
	}
	limits := posture.NewImageRequirement(lw.Spec.Images)
	for _, image := range lw.Status.Images {
		if image.StaleAt != nil {
			changes = append(changes, Change{At: image.StaleAt.Time, What: ImageStale, Of: image.Reference, Note: remedy(image)})
		}
		if image.Answer == posture.ImageTooYoung && image.Created != nil {
			changes = append(changes, Change{At: image.Created.Add(limits.MinAge), What: ImageOldEnough, Of: image.Reference, Harmless: true})
		}
	}
	return changes
}

// remedy is what there is to do about an image that turns stale, and where it is.
func remedy(image v1alpha1.ImageStatus) string {
	where := "declared"
	if image.Pods > 0 {
		where = "runs in " + several(int(image.Pods), "pod", "pods")
	}
	switch {
	case strings.HasPrefix(image.Fresher, "sha256:"):
		return where + "; its tag means a fresher build by now: roll it out"
	case image.Fresher == posture.FresherNone:
		return where + "; its tag has nothing fresher: build it anew"
	default:
		return where
	}
}

func exemptions(lw *v1alpha1.LabWorkload, facts Facts) []Change {
	if lw.Spec.Images == nil {
		return nil
	}
	var changes []Change
	for _, exemption := range lw.Spec.Images.Exempt {
		changes = append(changes, afterwards(lw, exemption, facts)...)
	}
	return changes
}

// afterwards says what becomes of the images that an exemption covers when it ends: first of all of them, then of each that turns stale later.
func afterwards(lw *v1alpha1.LabWorkload, exemption v1alpha1.ImageExemption, facts Facts) []Change {
	ends := Change{At: exemption.Expires.Time, What: ExemptionEnds, Of: exemption.Pattern}
	var later []Change
	only := posture.ImageRequirement{MaxAge: 1, Exempt: []v1alpha1.ImageExemption{exemption}}
	covered, stale, unknown, exempt := 0, 0, 0, 0
	for _, image := range lw.Status.Images {
		if posture.JudgeImage(only, image.Reference, posture.ImageFacts{}, facts.Now).Answer != posture.ImageExempt {
			continue
		}
		covered++
		known := posture.ImageFacts{}
		if facts.Content != nil && image.Digest != "" {
			known, _ = posture.FactsOf(image.Digest, posture.ParsePlatform(image.Platform), facts.Content)
		}
		switch then := posture.JudgeImage(posture.NewImageRequirement(lw.Spec.Images), image.Reference, known, exemption.Expires.Time); then.Answer {
		case posture.ImageStale:
			stale++
		case posture.ImageUnknown:
			unknown++
		case posture.ImageExempt:
			exempt++
		default:
			if !then.StaleAt.IsZero() {
				later = append(later, Change{At: then.StaleAt, What: ImageStale, Of: image.Reference, Note: remedy(image)})
			}
		}
	}
	ends.Harmless = stale+unknown == 0
	switch {
	case covered == 0:
		ends.Note = "covers no image now"
	case stale > 0:
		ends.Note = fmt.Sprintf("%d of %s will be stale then", stale, several(covered, "image", "images"))
	case unknown > 0:
		ends.Note = fmt.Sprintf("of %d of %s nobody can say how old it is then", unknown, several(covered, "image", "images"))
	case exempt > 0:
		ends.Note = fmt.Sprintf("another one covers %d of %s then", exempt, several(covered, "image", "images"))
	default:
		ends.Note = several(covered, "image is", "images are") + " fresh then"
	}
	return append([]Change{ends}, later...)
}

func certificate(lw *v1alpha1.LabWorkload, now time.Time) []Change {
	found := lw.Status.Certificate
	if found == nil || found.NotAfter == nil {
		return nil
	}
	change := Change{At: found.NotAfter.Time, What: CertificateExpires, Of: found.SecretName}
	switch {
	case found.RenewalTime == nil:
		change.Note = "when cert-manager renews it is not known"
	case now.Before(found.RenewalTime.Time):
		change.Note, change.Harmless = "cert-manager renews it from "+found.RenewalTime.UTC().Format(time.RFC3339), true
	default:
		change.Note = "cert-manager was to renew it on " + found.RenewalTime.UTC().Format(time.RFC3339) + ": look at the Certificate"
	}
	return []Change{change}
}

func exceptions(lw *v1alpha1.LabWorkload) []Change {
	var changes []Change
	transit := posture.Transit(&lw.Spec)
	if transit == nil {
		return nil
	}
	for _, port := range transit.Ports {
		for _, peer := range port.AllowFrom {
			if open := peer.Plaintext; open != nil {
				changes = append(changes, Change{At: open.Expires.Time, What: PlaintextEnds, Of: "port " + port.Name, Note: "whoever speaks plaintext there is cut off at Strict: " + open.Reason})
			}
		}
	}
	return changes
}

// trainings counts, for each course and instant, the people whose training ends.
func trainings(lw *v1alpha1.LabWorkload, facts Facts, end time.Time) []Change {
	if lw.Spec.Training == nil || facts.Trainings == nil {
		return nil
	}
	asked := training.Asked(*lw.Spec.Training).With(facts.Trainings)
	type turn struct {
		course string
		at     time.Time
	}
	ends := map[turn]int{}
	for _, person := range asked.People {
		for _, course := range asked.Courses {
			missing, next := training.Valid(facts.Trainings, person, []string{course}, asked.MaxAge, facts.Now)
			if len(missing) == 0 && !next.IsZero() && !next.After(end) {
				ends[turn{course, next.UTC()}]++
			}
		}
	}
	changes := make([]Change, 0, len(ends))
	for one, count := range ends {
		note := several(count, "person has", "people have") + " to take it again"
		changes = append(changes, Change{At: one.at, What: TrainingEnds, Of: one.course, Note: note})
	}
	return changes
}

func enforcement(lw *v1alpha1.LabWorkload, now time.Time) []Change {
	begins := posture.EnforcementAt(&lw.Spec, now).NextChange
	if begins.IsZero() {
		return nil
	}
	return []Change{{At: begins, What: EnforcementBegins, Of: "spec.enforceAfter", Note: "what Audit only reports is enforced from then on"}}
}

// overdue stands for what time has changed and no status says.
func overdue(lw *v1alpha1.LabWorkload) Change {
	return Change{At: lw.Status.NextChangeAt.Time, What: AnswerOverdue, Of: "status", Note: "an answer was to change then, and labguard has not looked since: is it running?"}
}

func several(count int, one, more string) string {
	if count == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", count, more)
}
