// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"strconv"
	"strings"

	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/posture"
)

// Rules are what findings are of. Their names are stable.
const (
	RuleStale         = "ImageStale"
	RuleTooYoung      = "ImageTooYoung"
	RuleUnknownAge    = "ImageAgeUnknown"
	RuleMutableTag    = "MutableTag"
	RuleInvalidObject = "InvalidObject"
	RuleUnreadable    = "UnreadableFile"
	// RuleStopped is for what is stopped for another reason than one of its images, RuleStoppedLater for what is let in now and stopped later.
	RuleStopped      = "StoppedInCluster"
	RuleStoppedLater = "StoppedLater"
)

// Finding is one thing about one image or one field that the gate, or the API server, would not like.
type Finding struct {
	Place

	Rule string `json:"rule"`
	// Effect is what it alone does to the write: Refuses, Holds or Warns.
	Effect gate.Verdict `json:"effect"`
	// Field is where it stands in the object.
	Field string `json:"field,omitempty"`
	// Containers and Image are empty where it is not about an image.
	Containers []string `json:"containers,omitempty"`
	Image      string   `json:"image,omitempty"`
	// Message is what admission would say.
	Message string `json:"message"`
	// NotKnownHere says that the age could not be found out from here. labguard may know better, so that the effect is a guess.
	NotKnownHere bool `json:"notKnownHere,omitempty"`
}

// findings asks the decision function about one image of a write alone. What it says of all of them together is the strictest of these.
func (w *World) findings(q *question, reference string) []Finding {
	var images []posture.TemplateImage
	found := Finding{Image: reference, Effect: gate.Warns}
	for _, image := range q.write.Root.Template.Images {
		if image.Reference == reference {
			images = append(images, image)
			found.Containers = append(found.Containers, image.Container)
		}
	}
	decision := w.decide(q, images)
	if len(decision.Refusals)+len(decision.Holds)+len(decision.Warnings) == 0 {
		return nil
	}
	path := imagePath(q.object.Kind, q.fields, reference)
	found.Field, found.Place = fieldText(path), q.object.PlaceOf(path...)
	found.Rule, found.NotKnownHere = w.rule(q, reference)
	var all []Finding
	add := func(effect gate.Verdict, texts []string) {
		for _, text := range texts {
			one := found
			one.Effect, one.Message = effect, plain(text)
			if rest, mutable := strings.CutPrefix(one.Message, RuleMutableTag+": "); mutable {
				one.Rule, one.Message, one.NotKnownHere = RuleMutableTag, rest, false
			}
			all = append(all, one)
		}
	}
	add(gate.Refuses, decision.Refusals)
	add(gate.Holds, decision.Holds)
	add(gate.Warns, decision.Warnings)
	return all
}

// rule is what the strictest of the LabWorkloads has against an image.
func (w *World) rule(q *question, reference string) (rule string, notKnownHere bool) {
	facts := w.facts(q.in, q.write.Query(reference))
	rule = RuleUnknownAge
	for _, one := range q.governing {
		switch answer := posture.JudgeImage(one.Requirement, reference, facts, q.write.Now); answer.Answer {
		case posture.ImageStale:
			return RuleStale, false
		case posture.ImageTooYoung:
			rule = RuleTooYoung
		case posture.ImageUnknown:
			notKnownHere = notKnownHere || gate.NotKnownHere(answer.Reason)
		}
	}
	return rule, notKnownHere && rule == RuleUnknownAge
}

// imagePath leads to the first place at which an object has a reference.
func imagePath(kind string, fields map[string]any, reference string) []any {
	path := []any{"spec", "template", "spec"}
	switch kind {
	case "Pod":
		path = []any{"spec"}
	case "CronJob":
		path = []any{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	pod := fields
	for _, step := range path {
		pod, _ = pod[step.(string)].(map[string]any)
	}
	for _, list := range []string{"initContainers", "containers", "volumes"} {
		items, _ := pod[list].([]any)
		for i, item := range items {
			one, _ := item.(map[string]any)
			if one["image"] == reference {
				return append(path, list, i, "image")
			}
			if image, _ := one["image"].(map[string]any); image["reference"] == reference && list == "volumes" {
				return append(path, list, i, "image", "reference")
			}
		}
	}
	return path
}

// fieldText is a path as people write it.
func fieldText(path []any) string {
	var text strings.Builder
	for _, step := range path {
		switch step := step.(type) {
		case int:
			text.WriteString("[" + strconv.Itoa(step) + "]")
		case string:
			if text.Len() > 0 {
				text.WriteByte('.')
			}
			text.WriteString(step)
		}
	}
	return text.String()
}

// plain is a message of admission without the name of labguard before it.
func plain(text string) string { return strings.TrimPrefix(text, "labguard: ") }
