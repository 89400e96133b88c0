// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/labguard/labguard/internal/plugin/gate"
)

// Verdicts beside those of package gate.
const (
	// NotAsked: no LabWorkload enforces images on it, so that the gate does not ask.
	NotAsked gate.Verdict = "NotAsked"
	// Invalid: the API server would refuse it, whatever its images.
	Invalid gate.Verdict = "Invalid"
)

// Outcome is the answer to an object at another instant.
type Outcome struct {
	At      time.Time    `json:"at"`
	Verdict gate.Verdict `json:"verdict"`
	Reasons []string     `json:"reasons,omitempty"`
}

// Result is the answer to one object.
type Result struct {
	Place

	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace,omitempty"`
	Name       string `json:"name"`
	// Verdict is what the decision function says with the facts that there are.
	Verdict gate.Verdict `json:"verdict"`
	// Unknown says that the age of an image that decides is not known here, so that the verdict is a guess.
	Unknown bool `json:"unknown,omitempty"`
	// EnforcedBy are the LabWorkloads that enforce image age on it.
	EnforcedBy []string  `json:"enforcedBy,omitempty"`
	Findings   []Finding `json:"findings,omitempty"`
	Notes      []string  `json:"notes,omitempty"`
	Later      *Outcome  `json:"later,omitempty"`
	// Earlier are the images that are judged by what their tags meant some time ago, as no registry tells what they mean now.
	Earlier []Earlier `json:"earlier,omitempty"`
}

func (r *Result) subject() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

func (w *World) result(object *Object) Result {
	return Result{
		Place: object.Place(), APIVersion: object.APIVersion, Kind: object.Kind, Namespace: w.NamespaceOf(object), Name: object.Name,
		Verdict: gate.RollsOut,
	}
}

func (r *Result) invalid(object *Object, problems []FieldProblem) {
	r.Verdict = Invalid
	for _, problem := range problems {
		r.Findings = append(r.Findings, Finding{
			Place: object.PlaceOf(problem.Path...), Rule: RuleInvalidObject, Effect: gate.Refuses, Field: fieldText(problem.Path), Message: problem.Text,
		})
	}
}

// Report is the answer to all manifests. Its JSON is stable: fields are added, and none is taken away or changed.
type Report struct {
	// At is the instant of the answers.
	At      time.Time `json:"at"`
	Counts  Counts    `json:"counts"`
	Results []Result  `json:"results"`
	// Others are how many objects there are of kinds that the gate is not asked about.
	Others map[string]int `json:"others"`
	// Skipped is what was not judged, Broken what could not be read.
	Skipped []Remark `json:"skipped"`
	Broken  []Remark `json:"broken"`
	// Changed are LabWorkloads that count as the manifests have them, and not as they are in force.
	Changed []Remark `json:"changed"`
}

// Counts are how many objects have which answer. An object whose verdict is a guess is counted under Unknown too.
type Counts struct {
	Objects  int `json:"objects"`
	RollsOut int `json:"rollsOut"`
	Warns    int `json:"warns"`
	Holds    int `json:"holds"`
	Refuses  int `json:"refuses"`
	Invalid  int `json:"invalid"`
	NotAsked int `json:"notAsked"`
	Unknown  int `json:"unknown"`
	// LaterStopped are those that are let in now and would be refused or held later.
	LaterStopped int `json:"laterStopped,omitempty"`
}

// Make judges all objects.
func (w *World) Make(parsed Parsed, later time.Duration) Report {
	w.DeclareAll(&parsed)
	report := Report{
		At: w.Now.UTC().Truncate(time.Second), Results: append([]Result{}, w.refused...), Others: map[string]int{},
		Skipped: append([]Remark{}, parsed.Skipped...), Broken: append([]Remark{}, parsed.Broken...),
	}
	report.Changed = w.Changed()
	for _, object := range parsed.Objects {
		if object.Judged() {
			report.Results = append(report.Results, w.Judge(object, later))
		} else {
			report.Others[object.Kind]++
		}
	}
	slices.SortStableFunc(report.Results, func(a, b Result) int { return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line)) })
	for i := range report.Results {
		report.Counts.add(&report.Results[i])
	}
	return report
}

// DeclareAll takes the objects of labguard's kinds out of those that are to be judged: what they say counts for all others, wherever they stand. Nothing
// is judged before.
func (w *World) DeclareAll(parsed *Parsed) { w.declareAll(parsed, false) }

func (w *World) declareAll(parsed *Parsed, fact bool) {
	rest, disbelieved := parsed.Objects[:0:0], parsed.Objects[:0:0]
	declared := map[string]*Object{}
	for _, object := range parsed.Objects {
		problems, known := w.Declare(object, fact)
		if !known {
			rest = append(rest, object)
			continue
		}
		if onlyByLabguard[object.Kind] != "" && !fact {
			disbelieved = append(disbelieved, object)
		}
		// Places are looked up only of what is spoken of: facts may be thousands of records in one file.
		if object.Kind == "LabWorkload" {
			key := w.NamespaceOf(object) + "/" + object.Name
			if earlier := declared[key]; earlier != nil {
				parsed.skip(earlier.Place(), "LabWorkload "+key+" is declared again at "+object.Place().String()+", and that counts")
			}
			declared[key] = object
		}
		if len(problems) > 0 {
			result := w.result(object)
			if w.ClusterWide != nil && w.ClusterWide(object.Kind) {
				result.Namespace = ""
			}
			result.invalid(object, problems)
			w.refused = append(w.refused, result)
		}
	}
	w.disbelieve(parsed, disbelieved)
	parsed.Objects = rest
}

func (c *Counts) add(one *Result) {
	c.Objects++
	count := map[gate.Verdict]*int{
		gate.RollsOut: &c.RollsOut, gate.Warns: &c.Warns, gate.Holds: &c.Holds, gate.Refuses: &c.Refuses, Invalid: &c.Invalid, NotAsked: &c.NotAsked,
	}[one.Verdict]
	*count++
	if one.Unknown {
		c.Unknown++
	}
	if one.turnsLater() {
		c.LaterStopped++
	}
}

func stopped(verdict gate.Verdict) bool {
	return verdict == gate.Refuses || verdict == gate.Holds || verdict == Invalid
}

// What a check may fail on: the names of verdicts as people give them.
const (
	FailRefused = "refused"
	FailHeld    = "held"
	FailUnknown = "unknown"
	FailWarned  = "warned"
	FailLater   = "later"
)

// Failures are all that a check may fail on, UsualFailures those that it fails on if nobody says otherwise.
func Failures() []string { return []string{FailRefused, FailHeld, FailUnknown, FailWarned, FailLater} }

// UsualFailures are part of Failures.
func UsualFailures() []string { return []string{FailRefused, FailHeld, FailUnknown} }

// Failing counts the objects that are not as they should be, and those of which that is not known. An object that the API server would refuse always
// counts. Where an unknown age is no failure, what the gate would do without knowing it counts.
func (r *Report) Failing(on []string) (bad, unknown int) {
	names := map[gate.Verdict]string{gate.Refuses: FailRefused, gate.Holds: FailHeld, gate.Warns: FailWarned}
	for i := range r.Results {
		one := &r.Results[i]
		switch {
		case one.Verdict == Invalid:
			bad++
		case one.Unknown && slices.Contains(on, FailUnknown):
			unknown++
		case slices.Contains(on, names[one.Verdict]), one.turnsLater() && slices.Contains(on, FailLater):
			bad++
		}
	}
	return bad, unknown
}

// turnsLater says that it is let in now and would be stopped later.
func (r *Result) turnsLater() bool {
	return r.Later != nil && !stopped(r.Verdict) && stopped(r.Later.Verdict)
}
