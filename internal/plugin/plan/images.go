// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/plugin/standing"
	"github.com/labguard/labguard/internal/posture"
)

// images says what the gate would answer under Enforce.
func (p *planner) images(s *subject) {
	asked := s.Manifest.DeepCopy()
	asked.Spec.Enforcement, asked.Spec.EnforceAfter, asked.Spec.Images.Enforcement = v1alpha1.EnforcementEnforce, "", ""
	if s.before != nil && s.before.Spec.Images != nil && posture.EnforcementAt(&s.before.Spec, p.facts.Now).Images {
		s.say(&s.Images, Note, "enforced already")
	}
	seen := p.facts.Gate
	seen.Workloads = []v1alpha1.LabWorkload{*asked}
	if s.before != nil {
		seen.Workloads[0].Status = s.before.Status
	}
	for _, root := range s.roots {
		if root.Gate.Root == nil {
			s.say(&s.Images, Unknown, "%s could not be read as the gate reads it", root.words())
			continue
		}
		explained, err := gate.Explain(&seen, root.Gate, nil, 0)
		if err != nil {
			s.say(&s.Images, Unknown, "%s: %s", root.words(), err)
			continue
		}
		for i := range explained.Images {
			s.image(root, &explained.Images[i], explained.AnewNow.Verdict)
		}
	}
	p.otherImages(s)
	s.Images = tidy(s.Images)
}

// otherImages are those of pods that something else makes, such as a Rollout or a person. The gate judges them, and labguard says what it would answer.
func (p *planner) otherImages(s *subject) {
	var others []string
	for _, pod := range s.pods {
		if slices.ContainsFunc(s.roots, func(root *Root) bool { return root.makes(pod) }) {
			continue
		}
		of := "pod " + pod.Name
		if metav1.GetControllerOfNoCopy(pod) != nil {
			of = "pods " + ownerWords(pod)
		}
		others = append(others, of)
	}
	switch {
	case len(others) == 0:
	case s.before != nil && s.before.Spec.Images != nil && s.before.Status.Preview != nil && standing.Outdated(s.before, p.facts.Now) == "":
		for _, refused := range s.before.Status.Preview.RefusedImages {
			s.say(&s.Images, Stops, "by the spec as it is now, as labguard has found: %s", refused)
		}
	default:
		for _, of := range others {
			s.say(&s.Images, Unknown, "the images of %s: nothing that is looked at here makes them, and labguard has not said what it would answer", of)
		}
	}
}

func (s *subject) image(root *Root, image *gate.Image, anew gate.Verdict) {
	switch image.Answer {
	case posture.ImageStale, posture.ImageTooYoung:
		answer := map[gate.Verdict]string{gate.Refuses: "is refused", gate.Holds: "is held", gate.Warns: "gets a warning", gate.RollsOut: "rolls out"}[anew]
		age := "too young"
		if image.Answer == posture.ImageStale {
			age = "stale"
		}
		s.say(&s.Images, Stops, "%s: %s is %s, made %s (%s); brought in anew it %s; what runs goes on and restarts",
			root.words(), image.Reference, age, image.Created.Format("2006-01-02"), image.Evidence, answer)
	case posture.ImageUnknown:
		s.say(&s.Images, Unknown, "%s: how old %s is (%s): onUnknownAge answers, %s", root.words(), image.Reference, image.Reason, posture.NewImageRequirement(s.Manifest.Spec.Images).OnUnknownAge)
	case "":
	default:
		line := fmt.Sprintf("%s: %s is %s", root.words(), image.Reference, strings.ToLower(image.Answer))
		if image.StaleAt != nil {
			line += ", stale from " + image.StaleAt.Format("2006-01-02") + " on"
		}
		s.say(&s.Images, Keeps, "%s", line)
	}
}
