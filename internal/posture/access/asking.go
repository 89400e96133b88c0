// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"slices"
	"strings"
	"unique"
)

// requirement carries what many requests need: the words of what it wants, and what tells its checks from those of others. A decision makes a check once,
// however many LabWorkloads ask for the same.
type requirement struct {
	Requirement
	wants string
	// login is everything that the answer about methods and contexts depends on, and courses the same of training.
	login, courses unique.Handle[string]
}

func newRequirement(from Requirement) *requirement {
	each := &requirement{Requirement: from}
	if rule := from.MFA; rule != nil {
		each.wants = wanted(rule.Methods, rule.Contexts)
		each.login = unique.Make(fmt.Sprintf("%q %q %q %t", rule.Methods, rule.Contexts, rule.OnUnproven, from.Enforce))
	}
	if training := from.Training; training != nil {
		each.courses = unique.Make(fmt.Sprintf("%q %d %t", training.Names, training.MaxAge, from.Enforce))
	}
	return each
}

// asked is one requirement that is about the request, with what it asks.
type asked struct {
	*requirement
	mfa, training bool
}

// asking is what is asked in one namespace. Nobody changes it. Nil asks for nothing.
type asking struct {
	// all are sorted by the name of the LabWorkload, so that messages do not depend on the order of a cache.
	all []*requirement
	// covered are those of them that are about each sort of request.
	covered map[Cover][]asked
}

var nothing = &asking{}

// with replaces what some LabWorkloads ask for, and arranges it for these sorts of requests.
func (a *asking) with(changed map[string][]Requirement, covers ...Cover) *asking {
	other := &asking{all: make([]*requirement, 0, len(a.all)+len(changed)), covered: map[Cover][]asked{}}
	for _, each := range a.all {
		if _, replaced := changed[each.Workload]; !replaced {
			other.all = append(other.all, each)
		}
	}
	for workload, requirements := range changed {
		at, _ := slices.BinarySearchFunc(other.all, workload, func(each *requirement, name string) int { return strings.Compare(each.Workload, name) })
		for i, each := range requirements {
			other.all = slices.Insert(other.all, at+i, newRequirement(each))
		}
	}
	for _, cover := range covers {
		about := make([]asked, 0, len(other.all))
		for _, each := range other.all {
			mfa := each.MFA != nil && covered(each.MFA.Covers, cover)
			training := each.Training != nil && len(each.Training.Names) > 0 && covered(each.Training.Covers, cover)
			if mfa || training {
				about = append(about, asked{requirement: each, mfa: mfa, training: training})
			}
		}
		other.covered[cover] = about
	}
	return other
}

// of are the requirements about a request. Only Access to one pod is told apart by the pod's labels: who may change anything in a namespace can mount its
// volumes and Secrets in a pod with other labels.
func (a *asking) of(request *Request) []asked {
	if a == nil {
		return nil
	}
	all := a.covered[request.Cover]
	if request.Cover != Access || request.Pod == nil {
		return all
	}
	var about []asked
	for i := range all {
		if all[i].Pods == nil || all[i].Pods.Matches(request.Pod) {
			about = append(about, all[i])
		}
	}
	return about
}

func byWorkload(requirements []Requirement) map[string][]Requirement {
	named := map[string][]Requirement{}
	for _, each := range requirements {
		named[each.Workload] = append(named[each.Workload], each)
	}
	return named
}

func covered(list []Cover, cover Cover) bool {
	if cover == Token {
		return true // Only the rule about tokens is ever asked about them.
	}
	return len(list) == 0 || slices.Contains(list, cover)
}
