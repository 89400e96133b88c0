// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package check

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/posture"
)

// fingerprint is the name of what tells results of one run from those of another, whatever the line: two results with the same value are
// the same problem (SARIF 2.1.0, 3.27.17).
const fingerprint = "labguardImage/v1"

// Sarif is a log in the Static Analysis Results Interchange Format, version 2.1.0 (OASIS), as far as it is used.
type Sarif struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool         `json:"tool"`
	Invocations []sarifInvocation `json:"invocations"`
	ColumnKind  string            `json:"columnKind"`
	Results     []sarifResult     `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name  string      `json:"name"`
	Rules []sarifRule `json:"rules"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifRule struct {
	ID                   string        `json:"id"`
	Name                 string        `json:"name"`
	ShortDescription     sarifText     `json:"shortDescription"`
	FullDescription      sarifText     `json:"fullDescription"`
	Help                 sarifText     `json:"help"`
	DefaultConfiguration sarifDefaults `json:"defaultConfiguration"`
}

type sarifDefaults struct {
	Level string `json:"level"`
}

type sarifInvocation struct {
	ExecutionSuccessful        bool                `json:"executionSuccessful"`
	ToolExecutionNotifications []sarifNotification `json:"toolExecutionNotifications"`
}

type sarifNotification struct {
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations"`
}

type sarifResult struct {
	RuleID              string            `json:"ruleId"`
	RuleIndex           int               `json:"ruleIndex"`
	Level               string            `json:"level"`
	Message             sarifText         `json:"message"`
	Locations           []sarifLocation   `json:"locations"`
	PartialFingerprints map[string]string `json:"partialFingerprints"`
}

type sarifLocation struct {
	PhysicalLocation sarifPhysical `json:"physicalLocation"`
}

type sarifPhysical struct {
	ArtifactLocation sarifArtifact `json:"artifactLocation"`
	Region           *sarifRegion  `json:"region,omitempty"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	StartLine int `json:"startLine"`
}

// rules are those of the findings, in the order of their index.
var rules = []sarifRule{
	rule(RuleStale, "error", "The image is too old",
		"A LabWorkload allows images of a certain age, and this one is older.", "Build the image anew, push it, and name the new one."),
	rule(RuleTooYoung, "error", "The image is too young",
		"A LabWorkload wants images to have a certain age first (minAge), and this one is younger.", "Wait, or name an older image."),
	rule(RuleUnknownAge, "warning", "The age of the image is not known",
		"The image has no plausible date, or nobody could be asked for it.",
		"Build it with its true date; or log in to its registry, or give its ImageRecord with --facts."),
	rule(RuleMutableTag, "note", "The tag of the image means another image each day",
		"An image without a tag, or with the tag latest, is judged once, and what it means later is only reported.", "Name a version or a digest."),
	rule(RuleInvalidObject, "error", "The API server would refuse the object",
		"The object breaks the schema of its kind, or cannot be read.", "Correct the field that the message names."),
	rule(RuleUnreadable, "error", "The file cannot be read",
		"The file, or one of its documents, is no YAML or JSON that can be read.", "Correct it, or render the template first."),
	rule(RuleStopped, "error", "The gate would stop the object",
		"What is in the cluster keeps the object from coming in, such as a hold of the object that is there.", "Read the message; kubectl labguard held says more."),
	rule(RuleStoppedLater, "warning", "The gate will stop the object",
		"It is let in now, and would not be later, as images grow older.", "Build the images anew before that day."),
}

func rule(id, level, short, full, help string) sarifRule {
	return sarifRule{
		ID: id, Name: id, ShortDescription: sarifText{short}, FullDescription: sarifText{full}, Help: sarifText{help},
		DefaultConfiguration: sarifDefaults{level},
	}
}

// Sarif is the report for tools that show findings beside lines.
func (r *Report) Sarif() Sarif {
	results := []sarifResult{}
	for i := range r.Results {
		for j := range r.Results[i].Findings {
			results = append(results, r.Results[i].sarif(j))
		}
		results = append(results, r.Results[i].withoutFinding()...)
	}
	for _, one := range r.Broken {
		results = append(results, resultOf(RuleUnreadable, "error", one.Text, one.Place, one.File))
	}
	invocation := sarifInvocation{ExecutionSuccessful: len(r.Broken) == 0, ToolExecutionNotifications: []sarifNotification{}}
	for _, one := range r.Skipped {
		invocation.ToolExecutionNotifications = append(invocation.ToolExecutionNotifications,
			sarifNotification{Level: "note", Message: sarifText{"not looked at: " + one.Text}, Locations: []sarifLocation{location(one.Place)}})
	}
	for _, one := range r.Changed {
		invocation.ToolExecutionNotifications = append(invocation.ToolExecutionNotifications,
			sarifNotification{Level: "warning", Message: sarifText{one.Text}, Locations: []sarifLocation{location(one.Place)}})
	}
	return Sarif{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0",
		Runs: []sarifRun{{
			Tool: sarifTool{sarifDriver{Name: "labguard", Rules: rules}}, Invocations: []sarifInvocation{invocation}, ColumnKind: "utf16CodeUnits", Results: results,
		}},
	}
}

// sarif is one of the findings. Several LabWorkloads may have the same against one image: then they are counted.
func (r *Result) sarif(index int) sarifResult {
	finding := &r.Findings[index]
	count := 0
	for _, earlier := range r.Findings[:index] {
		if earlier.Rule == finding.Rule && earlier.Image == finding.Image && earlier.Field == finding.Field {
			count++
		}
	}
	text := finding.Message
	if finding.Field != "" {
		text = finding.Field + ": " + text
	}
	level := "error"
	switch {
	case finding.Rule == RuleMutableTag:
		level = "note"
	case finding.Effect == gate.Warns:
		level = "warning"
	}
	repository := ""
	if finding.Image != "" {
		repository = posture.Repository(finding.Image)
	}
	return resultOf(finding.Rule, level, r.subject()+": "+text, finding.Place, r.File, r.subject(), strings.Join(finding.Containers, ","), repository, finding.Field, strconv.Itoa(count))
}

// withoutFinding is what counts for the exit code and is no finding about an image or a field: every object that fails a check has its place in the log.
func (r *Result) withoutFinding() []sarifResult {
	stops := func(one Finding) bool { return stopped(one.Effect) }
	var all []sarifResult
	if stopped(r.Verdict) && !slices.ContainsFunc(r.Findings, stops) {
		text := strings.Join(append([]string{"the gate " + strings.ToLower(string(r.Verdict)) + " it"}, r.Notes...), "; ")
		all = append(all, resultOf(RuleStopped, "error", r.subject()+": "+text, r.Place, r.File, r.subject()))
	}
	if r.turnsLater() {
		text := "on " + r.Later.At.Format("2006-01-02") + " the gate " + strings.ToLower(string(r.Later.Verdict)) + " it: " + strings.Join(r.Later.Reasons, "; ")
		all = append(all, resultOf(RuleStoppedLater, "warning", r.subject()+": "+text, r.Place, r.File, r.subject()))
	}
	return all
}

func resultOf(id, level, text string, at Place, same ...string) sarifResult {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q", id, same))
	return sarifResult{
		RuleID: id, RuleIndex: slices.IndexFunc(rules, func(one sarifRule) bool { return one.ID == id }), Level: level,
		Message: sarifText{text}, Locations: []sarifLocation{location(at)},
		PartialFingerprints: map[string]string{fingerprint: hex.EncodeToString(sum[:16])},
	}
}

func location(at Place) sarifLocation {
	physical := sarifPhysical{ArtifactLocation: sarifArtifact{uri(at.File)}}
	if at.Line > 0 {
		physical.Region = &sarifRegion{StartLine: at.Line}
	}
	return sarifLocation{physical}
}

// uri is a reference to a file (RFC 3986): relative where the name is, so that it counts from the top of the checkout where the command was run.
func uri(file string) string {
	if file == "-" {
		return "stdin"
	}
	path := filepath.ToSlash(filepath.Clean(file))
	reference := url.URL{Path: path}
	if filepath.IsAbs(file) {
		reference.Scheme = "file"
		if !strings.HasPrefix(path, "/") { // the letter of a drive
			reference.Path = "/" + path
		}
	}
	return reference.String()
}
