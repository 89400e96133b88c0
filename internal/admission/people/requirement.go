// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/identity"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/access"
	"github.com/labguard/labguard/internal/posture/logins"
	"github.com/labguard/labguard/internal/posture/training"
)

// requirementsOf are what a LabWorkload asks for at an instant, and when time alone changes that; zero if it does not. They are two, where only one of
// login and training is enforced.
func requirementsOf(workload *v1alpha1.LabWorkload, now time.Time) (asked []access.Requirement, until time.Time) {
	if workload.Spec.MFA == nil && workload.Spec.Training == nil {
		return nil, time.Time{}
	}
	enforcement := posture.EnforcementAt(&workload.Spec, now)
	one := access.Requirement{Workload: workload.Name}
	// A selector that cannot be read, which the API never lets in, takes every pod: nobody gets in because of it.
	if selector, err := metav1.LabelSelectorAsSelector(&workload.Spec.Selector); err == nil {
		one.Pods = selector
	}
	if mfa := workload.Spec.MFA; mfa != nil {
		login := one
		rule := logins.Rule(mfa)
		login.MFA, login.Enforce = &rule, enforcement.MFA
		asked = append(asked, login)
	}
	if wanted := workload.Spec.Training; wanted != nil {
		trained := one
		trained.Training, trained.Enforce = courses(wanted, workload.Spec.MFA), enforcement.Training
		if len(asked) > 0 && asked[0].Enforce == trained.Enforce {
			asked[0].Training = trained.Training
			return asked, enforcement.NextChange
		}
		asked = append(asked, trained)
	}
	return asked, enforcement.NextChange
}

// courses takes what to do without a proof from mfa, which alone can say it: whoever cannot show a login cannot be found in the records, either.
func courses(wanted *v1alpha1.TrainingSpec, mfa *v1alpha1.MFASpec) *access.Courses {
	asked := training.Asked(*wanted)
	onUnproven := access.UnprovenDeny
	if mfa != nil {
		onUnproven = logins.Rule(mfa).OnUnproven
	}
	return &access.Courses{Names: asked.Courses, MaxAge: asked.MaxAge, Covers: covers(wanted.Covers), OnUnproven: onUnproven}
}

// source says under which keys the claims of an IdentityProvider arrive.
func source(spec *v1alpha1.IdentityProviderSpec) identity.Source {
	keys := &spec.ClaimKeys
	return identity.Source{Issuer: spec.Issuer, Keys: identity.Keys{
		Issuer: string(keys.Issuer), Subject: string(keys.Subject), Methods: string(keys.Methods), Context: string(keys.Context), AuthTime: string(keys.AuthTime),
	}}
}

func covers(list []v1alpha1.AccessCover) []access.Cover {
	var all []access.Cover
	for _, cover := range list {
		all = append(all, access.Cover(cover))
	}
	return all
}
