// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/identity"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/access"
	"github.com/labguard/labguard/internal/posture/training"
)

const (
	// defaultLoginAge is what the API server writes where mfa.maxAge is not given.
	defaultLoginAge = 12 * time.Hour
	// noAge stands for an age that cannot be read, which the API never lets in: no login is young enough.
	noAge = time.Nanosecond
)

// requirements are what LabWorkloads ask for at an instant, and when time alone changes that; zero if it does not.
func requirements(workloads []v1alpha1.LabWorkload, now time.Time) (asked []access.Requirement, until time.Time) {
	for i := range workloads {
		spec := &workloads[i].Spec
		if spec.MFA == nil && spec.Training == nil {
			continue
		}
		enforcement := posture.EnforcementAt(spec, now)
		until = posture.Earliest(until, enforcement.NextChange)
		asked = append(asked, requirementsOf(&workloads[i], &enforcement)...)
	}
	return asked, until
}

// requirementsOf are those of one LabWorkload: two, where only one of login and training is enforced.
func requirementsOf(workload *v1alpha1.LabWorkload, enforcement *posture.Enforcement) []access.Requirement {
	one := access.Requirement{Workload: workload.Name}
	// A selector that cannot be read, which the API never lets in, takes every pod: nobody gets in because of it.
	if selector, err := metav1.LabelSelectorAsSelector(&workload.Spec.Selector); err == nil {
		one.Pods = selector
	}
	var asked []access.Requirement
	if mfa := workload.Spec.MFA; mfa != nil {
		login := one
		login.MFA, login.Enforce = rule(mfa), enforcement.MFA
		asked = append(asked, login)
	}
	if wanted := workload.Spec.Training; wanted != nil {
		trained := one
		trained.Training, trained.Enforce = courses(wanted, workload.Spec.MFA), enforcement.Training
		if len(asked) > 0 && asked[0].Enforce == trained.Enforce {
			asked[0].Training = trained.Training
			return asked
		}
		asked = append(asked, trained)
	}
	return asked
}

func rule(mfa *v1alpha1.MFASpec) *access.Rule {
	return &access.Rule{
		MaxAge: loginAge(mfa.MaxAge, defaultLoginAge), Methods: methods(mfa.Methods), Contexts: texts(mfa.Contexts), Covers: covers(mfa.Covers),
		OnUnproven: onUnproven(mfa),
	}
}

// courses takes what to do without a proof from mfa, which alone can say it: whoever cannot show a login cannot be found in the records, either.
func courses(wanted *v1alpha1.TrainingSpec, mfa *v1alpha1.MFASpec) *access.Courses {
	asked := training.Asked(*wanted)
	return &access.Courses{Names: asked.Courses, MaxAge: asked.MaxAge, Covers: covers(wanted.Covers), OnUnproven: onUnproven(mfa)}
}

func onUnproven(mfa *v1alpha1.MFASpec) access.OnUnproven {
	if mfa != nil && mfa.OnUnproven == v1alpha1.OnUnprovenWarn {
		return access.UnprovenWarn
	}
	return access.UnprovenDeny
}

// provider is what an IdentityProvider says.
func provider(spec *v1alpha1.IdentityProviderSpec) access.Provider {
	return access.Provider{
		Issuer:        spec.Issuer,
		ProvesMethods: slices.Contains(spec.Proves, v1alpha1.ProvesMethods), ProvesContext: slices.Contains(spec.Proves, v1alpha1.ProvesContext),
		ProvesAuthTime: slices.Contains(spec.Proves, v1alpha1.ProvesAuthTime),
		Rule:           access.Override{Methods: methods(spec.Methods), Contexts: texts(spec.Contexts), MaxAge: loginAge(spec.MaxAge, 0)},
	}
}

// source says under which keys the claims of an IdentityProvider arrive.
func source(spec *v1alpha1.IdentityProviderSpec) identity.Source {
	keys := &spec.ClaimKeys
	return identity.Source{Issuer: spec.Issuer, Keys: identity.Keys{
		Issuer: string(keys.Issuer), Subject: string(keys.Subject), Methods: string(keys.Methods), Context: string(keys.Context), AuthTime: string(keys.AuthTime),
	}}
}

func loginAge(age v1alpha1.LoginAge, standard time.Duration) time.Duration {
	if age == "" {
		return standard
	}
	parsed, err := time.ParseDuration(string(age))
	if err != nil || parsed <= 0 {
		return noAge
	}
	return parsed
}

func methods(sets []v1alpha1.AuthenticationMethods) [][]string {
	var all [][]string
	for _, set := range sets {
		all = append(all, texts(set))
	}
	return all
}

func covers(list []v1alpha1.AccessCover) []access.Cover {
	var all []access.Cover
	for _, cover := range list {
		all = append(all, access.Cover(cover))
	}
	return all
}

func texts[T ~string](values []T) []string {
	var all []string
	for _, value := range values {
		all = append(all, string(value))
	}
	return all
}
