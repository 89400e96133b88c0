// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
)

// TemplateImage is one image of a pod template or pod: of a container, an init container or an image volume.
type TemplateImage struct {
	// Container is the name of the container, or "volume <name>".
	Container string
	// Reference is the image as written.
	Reference string
	// Init says that it is an init container; a sidecar is one too.
	Init bool
}

// Governing is one LabWorkload that enforces image age on the root workload in question.
type Governing struct {
	Name        string
	Requirement ImageRequirement
}

// RolloutQuestion is everything that decides whether a write may bring its images. It is asked by admission before the write
// and by reports about it.
type RolloutQuestion struct {
	// Governing are the LabWorkloads whose selector matches the template, old or new. None: everything is allowed and nothing recorded.
	Governing []Governing
	// Images are the images of the new template.
	Images []TemplateImage
	// Running are the references that the old object already declares; nothing that runs is stopped.
	Running []string
	// Admitted says whether a reference has been admitted for this root, and why: its own annotation, its record, or the namespace.
	Admitted func(reference string) (v1alpha1.AdmissionReason, bool)
	// LastAdmitted is the newest image that was admitted for this root, to name in a refusal; empty if none.
	LastAdmitted string
	// Facts gives what is known of a reference. Nil: nothing is known.
	Facts func(reference string) ImageFacts
	// Fresher gives the digest of a fresher build that the tag of a reference means by now; empty if none is known. Nil: none is.
	Fresher func(reference string) string
	// CannotHold says why the write cannot be held back from rolling out, and is empty if it can. It is asked only if that matters. Nil: it cannot.
	CannotHold func() string
	// Now is the instant of the decision.
	Now time.Time
}

// RolloutDecision is the answer. The zero value refuses.
type RolloutDecision struct {
	// Allowed says whether the write may go through.
	Allowed bool
	// Held says that the write may go through only if it is kept from rolling out, and Holds why, one line for each image. Nothing is recorded
	// as admitted then.
	Held  bool
	Holds []string
	// Refusals say why not, one line for each image.
	Refusals []string
	// Warnings are for the person who writes.
	Warnings []string
	// NextChange is the instant at which time alone may change the decision; zero if it does not.
	NextChange time.Time
	// Admit are the images to record as admitted, one for each distinct reference of the new template, sorted by reference. Empty if the
	// write is refused. A reference that is not valid (ValidReference) may be let through and is never among them.
	Admit []v1alpha1.AdmittedImage
}

// DecideRollout answers whether a write may bring its images. Age is looked at only for images that are new here; an image that was
// admitted stays admitted whatever its age and today's limits. Where several LabWorkloads govern, the stricter answer counts.
func DecideRollout(question RolloutQuestion) RolloutDecision {
	if len(question.Governing) == 0 {
		return RolloutDecision{Allowed: true}
	}
	decision := RolloutDecision{Allowed: true}
	for _, image := range byReference(question.Images) {
		decideImage(question, image, &decision)
	}
	if !decision.Allowed {
		decision.Holds = nil
	}
	if decision.Held = len(decision.Holds) > 0; decision.Held || !decision.Allowed {
		decision.Admit = nil
	}
	slices.Sort(decision.Holds)
	decision.Admit = slices.DeleteFunc(decision.Admit, func(image v1alpha1.AdmittedImage) bool { return !ValidReference(image.Reference) })
	slices.Sort(decision.Refusals)
	slices.Sort(decision.Warnings)
	return decision
}

// namedImage is one distinct reference with the containers that use it.
type namedImage struct {
	reference  string
	containers []string
}

// byReference gathers the containers of each reference, both sorted, so that the order of containers never counts.
func byReference(images []TemplateImage) []namedImage {
	containers := map[string][]string{}
	for _, image := range images {
		containers[image.Reference] = append(containers[image.Reference], image.Container)
	}
	named := make([]namedImage, 0, len(containers))
	for _, reference := range slices.Sorted(maps.Keys(containers)) {
		names := containers[reference]
		slices.Sort(names)
		named = append(named, namedImage{reference: reference, containers: names})
	}
	return named
}

func decideImage(question RolloutQuestion, image namedImage, decision *RolloutDecision) {
	admitted := v1alpha1.AdmittedImage{
		Reference: image.reference, Container: image.containers[0], Time: metav1.NewTime(question.Now.UTC().Truncate(time.Second)),
	}
	if question.Admitted != nil {
		if reason, found := question.Admitted(image.reference); found {
			admitted.Reason = reason
			decision.Admit = append(decision.Admit, admitted)
			return
		}
	}
	if slices.Contains(question.Running, image.reference) {
		admitted.Reason = v1alpha1.AdmittedEnteredUngoverned
		decision.Admit = append(decision.Admit, admitted)
		return
	}
	var facts ImageFacts
	if question.Facts != nil {
		facts = question.Facts(image.reference)
	}
	admitted.Digest = facts.Digest
	for _, governing := range question.Governing {
		judged := JudgeImage(governing.Requirement, image.reference, facts, question.Now)
		reason, _ := admissionOf(governing.Requirement, judged)
		decision.NextChange = Earliest(decision.NextChange, judged.NextChange)
		if reason == v1alpha1.AdmittedWarned {
			decision.take(answerTo(governing.Requirement, judged), describe(question, image, governing, facts, judged), question.CannotHold)
		}
		admitted.Reason = weaker(admitted.Reason, reason)
	}
	if MutableTag(image.reference) {
		decision.Warnings = append(decision.Warnings, fmt.Sprintf(
			"labguard: MutableTag: image %s has no fixed tag: it is judged once, and what it means later is only reported; pin a version or a digest", shown(image.reference)))
	}
	decision.Admit = append(decision.Admit, admitted)
}

// take notes what one requirement wants to happen to the write for one image.
func (d *RolloutDecision) take(wanted v1alpha1.OnStale, text string, cannotHold func() string) {
	switch wanted {
	case v1alpha1.OnStaleWarn:
		d.Warnings = append(d.Warnings, text)
		return
	case v1alpha1.OnStaleHold:
		why := "nothing here knows how to hold it"
		if cannotHold != nil {
			why = cannotHold()
		}
		if why == "" {
			d.Holds = append(d.Holds, text)
			return
		}
		text += " It is refused and not held: " + why + "."
	case v1alpha1.OnStaleDeny:
	}
	d.Allowed = false
	d.Refusals = append(d.Refusals, text)
}

// answerTo is what a requirement wants to happen to a rollout that brings an image that is not fine.
func answerTo(requirement ImageRequirement, judged ImageVerdict) v1alpha1.OnStale {
	if judged.Answer == ImageStale || judged.Answer == ImageTooYoung {
		return requirement.OnStale
	}
	return requirement.OnUnknownAge
}

// admissionOf translates the answer about one image into an admission reason, and says whether a rollout that brings it is stopped: refused or held.
// A waiver of an approver will take its place beside the exemption.
func admissionOf(requirement ImageRequirement, judged ImageVerdict) (reason v1alpha1.AdmissionReason, stopped bool) {
	switch judged.Answer {
	case ImageFresh:
		return v1alpha1.AdmittedFresh, false
	case ImageExempt:
		return v1alpha1.AdmittedExempt, false
	default:
		return v1alpha1.AdmittedWarned, answerTo(requirement, judged) != v1alpha1.OnStaleWarn
	}
}

// weaker keeps the admission that says least for the image: Warned before Exempt before Fresh.
func weaker(a, b v1alpha1.AdmissionReason) v1alpha1.AdmissionReason {
	for _, reason := range []v1alpha1.AdmissionReason{v1alpha1.AdmittedWarned, v1alpha1.AdmittedExempt} {
		if a == reason || b == reason {
			return reason
		}
	}
	return b
}

// describe says about one image everything that a person needs to act: container, reference, digest, age, limit, evidence, the day
// it went stale, and the way out.
func describe(question RolloutQuestion, image namedImage, governing Governing, facts ImageFacts, judged ImageVerdict) string {
	subject := fmt.Sprintf("labguard: container %s: image %s", List(image.containers), shown(image.reference))
	if facts.Digest != "" && !strings.Contains(image.reference, facts.Digest) {
		subject += " (" + shown(facts.Digest) + ")"
	}
	limit := fmt.Sprintf("LabWorkload %s allows %s", shown(governing.Name), exactly(governing.Requirement.MaxAge))
	back := ""
	if question.LastAdmitted != "" {
		back = ", or go back to " + shown(question.LastAdmitted) + ", which is admitted"
	}
	switch judged.Answer {
	case ImageStale:
		return fmt.Sprintf("%s is stale: made %s (%s), %s ago; %s; stale since %s. %s%s.",
			subject, judged.Created.Format(time.DateOnly), judged.Evidence, Days(question.Now.Sub(judged.Created)), limit,
			judged.StaleAt.Format(time.DateOnly), rebuild(question, image.reference), back)
	case ImageTooYoung:
		return fmt.Sprintf("%s is too young: made %s (%s); LabWorkload %s wants %s at least; old enough from %s. Wait until then%s.",
			subject, judged.Created.Format(time.RFC3339), judged.Evidence, shown(governing.Name), exactly(governing.Requirement.MinAge),
			judged.NextChange.Format(time.RFC3339), back)
	}
	cause := judged.Reason
	if judged.Detail != "" {
		cause += ": " + shown(judged.Detail)
	}
	return fmt.Sprintf("%s has an age that nobody can know (%s); %s. %s%s.", subject, cause, limit, remedy(judged.Reason), back)
}

// rebuild is how to get a fresh image. A reference without a digest means what its tag means, so that there is nothing fresher under it.
func rebuild(question RolloutQuestion, reference string) string {
	if question.Fresher != nil {
		if fresher := question.Fresher(reference); fresher != "" {
			return "Its tag means a fresher build by now, " + shown(fresher) + ": use that"
		}
	}
	if strings.Contains(reference, "@") {
		return "Build it anew and push it"
	}
	return "No fresher build exists under its tag: build it anew and push it"
}

// remedy is what to do about an age that is not known.
func remedy(reason string) string {
	switch reason {
	case v1alpha1.ReasonImplausibleDate:
		return "Build it with its true creation date"
	case v1alpha1.ReasonInvalidReference:
		return "Correct the reference"
	case v1alpha1.ReasonNotResolved:
		return "Try again in a moment"
	default:
		return "Mend that and try again"
	}
}

// maxShown is the length in bytes to which a text of others, such as a reference, is cut in a message. No valid reference is longer.
const maxShown = 512

func shown(text string) string {
	return cut(plain(text), maxShown)
}
