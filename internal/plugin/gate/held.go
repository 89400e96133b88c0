// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/plugin/tree"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/rollout"
	"github.com/labguard/labguard/internal/posture/template"
)

// Held is a rollout that is held. It is also what programs read.
type Held struct {
	Namespace string `json:"namespace"`
	Kind      string `json:"kind"`
	// Name is empty for one of the Jobs and bare pods, which share a record.
	Name string `json:"name,omitempty"`
	// Reason is RolloutHeld or HeldMidRollout.
	Reason string     `json:"reason"`
	Since  *time.Time `json:"since,omitempty"`
	Images []string   `json:"images,omitempty"`
	// LabWorkloads are those whose status names it.
	LabWorkloads []string `json:"labWorkloads,omitempty"`
	// Why is what admission says about its images now, Do what ends it, and NextChange when time alone may.
	Why        []string   `json:"why,omitempty"`
	Do         []string   `json:"do"`
	NextChange *time.Time `json:"nextChange,omitempty"`
}

// RunOnce stands for the kind of what the record of Jobs and bare pods speaks of.
const RunOnce = "JobOrPod"

// List are the rollouts of a namespace that are held, the longest first. root gives an object, or nil if it cannot be read.
func List(seen *Seen, root func(kind, name string) *template.Root) []Held {
	found := seen.named()
	for i := range found {
		one := &found[i]
		if one.Name == "" {
			one.Do = []string{"look which it is: kubectl get jobs,pods -n " + seen.Namespace}
			continue
		}
		if object := root(one.Kind, one.Name); object != nil {
			seen.why(one, seen.withoutAirlock(object))
		} else {
			one.Do = seen.ways(ledger.NewSet(nil, []string{ledger.RecordName(one.Kind, one.Name)}, seen.Records).Last(one.Images))
		}
	}
	slices.SortFunc(found, func(a, b Held) int {
		return cmp.Or(compare(a.Since, b.Since), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return found
}

func compare(a, b *time.Time) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	default:
		return a.Compare(*b)
	}
}

// named are those that statuses and records name. A status lists at most twenty, and a record is there for each root.
func (s *Seen) named() []Held {
	var found []Held
	at := func(kind, name string) *Held {
		i := slices.IndexFunc(found, func(one Held) bool { return one.Kind == kind && one.Name == name })
		if i < 0 {
			found = append(found, Held{Namespace: s.Namespace, Kind: kind, Name: name, Reason: v1alpha1.ReasonRolloutHeld})
			i = len(found) - 1
		}
		return &found[i]
	}
	shared := false
	for i := range s.Workloads {
		for _, held := range s.Workloads[i].Status.Held {
			one := at(held.Kind, held.Name)
			one.Reason, one.Images, one.LabWorkloads = held.Reason, held.Images, append(one.LabWorkloads, s.Workloads[i].Name)
			if held.Since != nil {
				one.Since = pointer(held.Since.Time)
			}
			shared = shared || ledger.RecordName(held.Kind, held.Name) == v1alpha1.RunOnceRecordName
		}
	}
	for i := range s.Records {
		record := &s.Records[i]
		switch held := record.Spec.Held; {
		case held == nil:
		case record.Spec.Root != nil:
			one := at(record.Spec.Root.Kind, record.Spec.Root.Name)
			one.Since, one.Images = pointer(held.Since.Time), held.Images
		case record.Name == v1alpha1.RunOnceRecordName && !shared:
			one := at(RunOnce, "")
			one.Since, one.Images = pointer(held.Since.Time), held.Images
		}
	}
	return found
}

// why asks what the controller of holds asks.
func (s *Seen) why(one *Held, root *template.Root) {
	namespace := rollout.Arrange(s.Namespace, s.Workloads, s.Records)
	decision, governing, write := s.decide(ask{root: root, old: root, workloads: namespace, at: s.Now})
	outcome := outcomeOf(decision, s.Now)
	for _, reason := range outcome.Reasons {
		one.Why = append(one.Why, strings.TrimPrefix(reason, "labguard: "))
	}
	if !outcome.Verdict.Passes() {
		one.NextChange = outcome.NextChange
	}
	switch {
	case !root.Held():
		one.Why, one.Do = nil, []string{"nothing: it is not held any more, and its record will say so in a moment"}
	case s.InRecovery():
		one.Do = []string{"nothing: the namespace is in recovery, and labguard releases it in a moment"}
	case write.Frozen():
		one.Do = []string{"take spec.suspend off the LabWorkload: labguard releases nothing meanwhile"}
	case len(governing) == 0 || outcome.Verdict.Passes():
		one.Do = []string{"nothing: its images are fine, and labguard releases it in a moment; if it does not, look at its log"}
	default:
		one.Do = s.ways(write.Admitted().Last(root.Template.References()))
	}
}

// ways are what ends a hold.
func (s *Seen) ways(last string) []string {
	ways := []string{"push a fresh build under the same tag, or mend what keeps its age from being known: labguard releases it by itself"}
	if last != "" {
		ways = append(ways, "or revert the image where it is declared to "+last+", which is let in")
	}
	return ways
}

// Draw is a held rollout as a tree.
func (h *Held) Draw(now time.Time) tree.Node {
	name := strings.ToLower(h.Kind) + "/" + h.Name
	if h.Name == "" {
		name = "a Job or a pod without an owner"
	}
	head := tree.Node{Line: []tree.Span{{Text: h.Namespace, Mark: tree.Name}, {Text: name, Mark: tree.Name}, {Text: h.Reason, Mark: tree.Bad}}}
	if h.Since != nil {
		head.Line = append(head.Line, tree.Span{Text: "since " + h.Since.Format(time.RFC3339) + ", " + tree.Away(*h.Since, now)})
	}
	if len(h.Why) == 0 && len(h.Images) > 0 {
		head = head.With(tree.Say("waits for " + strings.Join(h.Images, ", ")))
	}
	for _, why := range h.Why {
		head = head.With(tree.Say("why: " + why))
	}
	for _, do := range h.Do {
		head = head.With(tree.Node{Line: []tree.Span{{Text: "do:", Mark: tree.Unsure}, {Text: do}}})
	}
	if h.NextChange != nil {
		head = head.With(tree.Node{Line: []tree.Span{{Text: "time alone may end it " + day(*h.NextChange, now), Mark: tree.Faint}}})
	}
	return head
}
