// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access

import (
	"fmt"
	"maps"
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

// asking is what is asked in one namespace of each sort of request, sorted by the name of the LabWorkload, so that messages do not depend on the order of a
// cache. Nobody changes it. Nil asks for nothing.
type asking map[Cover][]asked

// with replaces what some LabWorkloads ask for of these sorts of requests.
func (a asking) with(changed map[string][]Requirement, covers ...Cover) asking {
	other := asking{}
	for _, cover := range covers {
		other[cover] = slices.Clone(a[cover])
	}
	for _, workload := range slices.Sorted(maps.Keys(changed)) {
		var compiled []*requirement
		for _, each := range changed[workload] {
			each.Workload = workload
			compiled = append(compiled, newRequirement(each))
		}
		for _, cover := range covers {
			from, _ := slices.BinarySearchFunc(other[cover], workload, func(each asked, name string) int { return strings.Compare(each.Workload, name) })
			to := from
			for to < len(other[cover]) && other[cover][to].Workload == workload {
				to++
			}
			other[cover] = slices.Replace(other[cover], from, to, about(compiled, cover)...)
		}
	}
	return other
}

// about are those requirements that ask for something of a sort of request.
func about(requirements []*requirement, cover Cover) []asked {
	var found []asked
	for _, each := range requirements {
		mfa := each.MFA != nil && covered(each.MFA.Covers, cover)
		training := each.Training != nil && len(each.Training.Names) > 0 && covered(each.Training.Covers, cover)
		if mfa || training {
			found = append(found, asked{requirement: each, mfa: mfa, training: training})
		}
	}
	return found
}

// of are the requirements about a request. Only Access to one pod is told apart by the pod's labels: who may change anything in a namespace can mount its
// volumes and Secrets in a pod with other labels.
func (a asking) of(request *Request) []asked {
	all := a[request.Cover]
	if request.Cover != Access || request.Pod == nil {
		return all
	}
	var found []asked
	for i := range all {
		if all[i].Pods == nil || all[i].Pods.Matches(request.Pod) {
			found = append(found, all[i])
		}
	}
	return found
}

func byWorkload(requirements []Requirement) map[string][]Requirement {
	named := map[string][]Requirement{}
	for _, each := range requirements {
		named[each.Workload] = append(named[each.Workload], each)
	}
	return named
}

func covered(list []Cover, cover Cover) bool {
	if cover != Access && cover != Change { // of tokens and of the platform, only the rule about tokens is ever asked
		return true
	}
	return len(list) == 0 || slices.Contains(list, cover)
}
