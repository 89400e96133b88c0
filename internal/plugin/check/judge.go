// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/rollout"
	"github.com/labguard/labguard/internal/posture/template"
)

// judged are the kinds that the gate is asked about, by the group of their API.
var judged = map[string][]string{
	"":            {"Pod", "ReplicationController"},
	"apps":        {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"},
	"batch":       {"Job", "CronJob"},
	"argoproj.io": {"Rollout"},
}

// Judged says whether the gate is asked about objects of this kind.
func (o *Object) Judged() bool { return slices.Contains(judged[o.group()], o.Kind) }

// Before is an object as the cluster has it.
type Before struct {
	Root   *template.Root
	Fields *hold.Object
}

// question is one object, read for the gate.
type question struct {
	object *Object
	in     *space
	write  *rollout.Write
	// governing are the LabWorkloads that enforce image age on it now.
	governing []posture.Governing
	// cannotHold says why it cannot be held.
	cannotHold string
	fields     map[string]any
}

// ask reads an object for the gate at an instant.
func (w *World) ask(object *Object, at time.Time) (*question, error) {
	raw, fields, err := unmarked(object.raw)
	if err != nil {
		return nil, err
	}
	root, err := template.Decode(object.Kind, raw)
	if err != nil {
		return nil, err
	}
	now, err := hold.Read(object.Kind, raw)
	if err != nil {
		return nil, err
	}
	q := &question{object: object, in: w.arrange(w.NamespaceOf(object)), fields: fields}
	q.write = &rollout.Write{Root: root, Namespace: q.in.arranged, Platform: w.Platform, Now: at}
	var old *hold.Object
	if w.Before != nil {
		if before := w.Before(object); before != nil {
			q.write.Old, old = before.Root, before.Fields
		}
	}
	q.cannotHold = hold.Cannot(old, now)
	q.governing = q.write.Governing()
	return q, nil
}

// unmarked is an object without the annotations that labguard writes: a policy takes them off whatever anybody else writes.
func unmarked(raw []byte) ([]byte, map[string]any, error) {
	var fields map[string]any
	if err := json.Unmarshal(raw, &fields); err != nil {
		return nil, nil, fmt.Errorf("read the object: %w", err)
	}
	metadata, _ := fields["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	marked := false
	for _, key := range []string{v1alpha1.AdmittedAnnotation, v1alpha1.AdmissionsAnnotation, v1alpha1.HoldAnnotation} {
		if _, found := annotations[key]; found {
			delete(annotations, key)
			marked = true
		}
	}
	if !marked {
		return raw, fields, nil
	}
	raw, err := json.Marshal(fields)
	return raw, fields, err
}

// decide asks the one decision function about some of the images of a write.
func (w *World) decide(q *question, images []posture.TemplateImage) posture.RolloutDecision {
	asked := q.write.Question(q.governing, q.write.Admitted())
	asked.Images = images
	asked.CannotHold = func() string { return q.cannotHold }
	asked.Facts = func(reference string) posture.ImageFacts { return w.facts(q.in, q.write.Query(reference)) }
	asked.Fresher = func(reference string) string {
		tagged, found := posture.Tagged(reference)
		if !found || tagged == reference {
			return ""
		}
		own, tag := asked.Facts(reference), w.facts(q.in, q.write.Query(tagged))
		if digest := posture.Fresher(own, tag, q.write.Now); digest != posture.FresherNone {
			return digest
		}
		return ""
	}
	return posture.DecideRollout(asked)
}

// isHeld says whether the cluster holds the object now: it stays so, whatever a write brings.
func (q *question) isHeld() bool { return q.write.Old != nil && hold.Marked(q.write.Old.Annotations) }

// verdict is what becomes of the write, by the same order of questions as in admission.
func (q *question) verdict(decision posture.RolloutDecision) gate.Verdict {
	switch {
	case !decision.Allowed:
		return gate.Refuses
	case (decision.Held || q.isHeld()) && q.cannotHold != "":
		return gate.Refuses
	case decision.Held || q.isHeld():
		return gate.Holds
	case len(decision.Warnings) > 0:
		return gate.Warns
	default:
		return gate.RollsOut
	}
}

// Queries are what a registry has to be asked so that objects can be judged: the images that decide and whose facts are not known for good, each once.
func (w *World) Queries(all []*Object) []posture.ImageQuery {
	var queries []posture.ImageQuery
	known := map[string]bool{}
	for _, object := range all {
		if !object.Judged() {
			continue
		}
		q, err := w.ask(object, w.Now)
		if err != nil || len(q.governing) == 0 {
			continue
		}
		asked := q.write.Question(q.governing, q.write.Admitted())
		for _, query := range q.write.Unknown(&asked) {
			_, digest, pinned := strings.Cut(query.Reference, "@")
			if _, missing := posture.FactsOf(digest, query.Platform, w.content); known[QueryKey(query)] || pinned && missing == "" || !posture.ValidReference(query.Reference) {
				continue
			}
			known[QueryKey(query)] = true
			queries = append(queries, query)
		}
	}
	return queries
}

// QueryKey tells queries apart that have different answers, whoever asks.
func QueryKey(query posture.ImageQuery) string {
	return query.Reference + " " + query.Platform.String()
}

// MayGovern says whether a LabWorkload of the object's namespace asks for the age of images. Which of them govern a write depends on the object that is there,
// too: who takes away a label does not get away. Everything has been declared before.
func (w *World) MayGovern(object *Object) bool {
	return object.Judged() && slices.ContainsFunc(w.space(w.NamespaceOf(object)).Workloads, func(one v1alpha1.LabWorkload) bool { return one.Spec.Images != nil })
}

// Judge says what the gate would answer to an object now and, if later is not zero, that much later.
func (w *World) Judge(object *Object, later time.Duration) Result {
	result := w.result(object)
	q, err := w.ask(object, w.Now)
	if err != nil {
		result.invalid(object, []FieldProblem{{Text: err.Error()}})
		return result
	}
	for _, one := range q.governing {
		result.EnforcedBy = append(result.EnforcedBy, strings.TrimPrefix(one.Name, q.in.Namespace+"/"))
	}
	if owner := q.write.Root.Controller(); owner != nil {
		result.Notes = append(result.Notes, owner.Kind+" "+owner.Name+" is said to own it; the gate believes that of components of Kubernetes, and of nobody who applies manifests")
	}
	decision := w.decide(q, q.write.Root.Template.Images)
	result.Verdict = q.verdict(decision)
	if len(q.governing) == 0 {
		result.Verdict = NotAsked
	}
	if len(q.governing) > 0 && q.in.InRecovery() {
		result.Notes = append(result.Notes, "the namespace is in recovery: until that ends the gate lets everything in")
	}
	if q.isHeld() {
		result.Notes = append(result.Notes, "the cluster holds it now, and it stays so after any write but labguard's own")
	}
	if result.Verdict == gate.Refuses && decision.Allowed {
		result.Notes = append(result.Notes, q.cannotHold)
	}
	result.Earlier = w.earlier(q)
	for _, reference := range q.write.Root.Template.References() {
		result.Findings = append(result.Findings, result.dated(w.findings(q, reference))...)
	}
	result.Unknown = slices.ContainsFunc(result.Findings, func(one Finding) bool { return one.NotKnownHere }) &&
		!slices.ContainsFunc(result.Findings, func(one Finding) bool { return !one.NotKnownHere && stopped(one.Effect) })
	if later > 0 {
		result.Later = w.later(object, w.Now.Add(later))
	}
	return result
}

// later is the answer at another instant. It asks about the write anew: enforceAfter may have come by then.
func (w *World) later(object *Object, at time.Time) *Outcome {
	q, err := w.ask(object, at)
	if err != nil {
		return nil
	}
	decision := w.decide(q, q.write.Root.Template.Images)
	outcome := &Outcome{At: at.UTC().Truncate(time.Second), Verdict: q.verdict(decision)}
	if len(q.governing) == 0 {
		outcome.Verdict = NotAsked
	}
	for _, text := range slices.Concat(decision.Refusals, decision.Holds, decision.Warnings) {
		outcome.Reasons = append(outcome.Reasons, plain(text))
	}
	return outcome
}
