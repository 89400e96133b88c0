// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"time"

	"github.com/labguard/labguard/api/v1alpha1"
)

// Enforcement is what is in force at one instant, for each requirement that may set its own.
type Enforcement struct {
	// Network is in force for the NetworkPolicy, Transit for the certificate, Images for the gate, MFA and Training for what people do.
	Network, Transit, Images, MFA, Training bool
	// Summary is the word for kubectl: Audit, Enforce, Mixed, "Audit until <date>" or Suspended.
	Summary string
	// NextChange is when enforceAfter switches it on; zero if time changes nothing.
	NextChange time.Time
}

// EnforcementAt says what of the spec is in force at an instant. A requirement that is not made is never in force. An enforceAfter
// that names no day there is, such as 2027-02-30, never comes: whoever wrote it wanted a delay.
func EnforcementAt(spec *v1alpha1.LabWorkloadSpec, now time.Time) Enforcement {
	wanted := wantedEnforcement(spec)
	start, known := EnforceAfter(spec.EnforceAfter)
	delayed := spec.EnforceAfter != "" && (!known || now.Before(start))
	result := wanted
	if delayed {
		result = Enforcement{}
		if wanted.anything() {
			result.NextChange = start
		}
	}
	result.Summary = enforcementSummary(spec, wanted, delayed)
	return result
}

func (e *Enforcement) anything() bool {
	return e.Network || e.Transit || e.Images || e.MFA || e.Training
}

// EnforceAfter parses spec.enforceAfter: an RFC 3339 instant, or a date, which is midnight UTC. It is false where none is given
// or it cannot be parsed.
func EnforceAfter(value string) (time.Time, bool) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if instant, err := time.Parse(layout, value); err == nil {
			return instant.UTC(), true
		}
	}
	return time.Time{}, false
}

func wantedEnforcement(spec *v1alpha1.LabWorkloadSpec) Enforcement {
	own := func(enforcement v1alpha1.Enforcement) bool {
		if enforcement == "" {
			enforcement = spec.Enforcement
		}
		return enforcement == v1alpha1.EnforcementEnforce
	}
	var wanted Enforcement
	if RestrictsNetwork(spec) {
		if spec.Network != nil {
			wanted.Network = own(spec.Network.Enforcement)
		} else {
			wanted.Network = own("")
		}
	}
	if transit := Transit(spec); transit != nil {
		wanted.Transit = own(transit.Enforcement)
	}
	if spec.Images != nil {
		wanted.Images = own(spec.Images.Enforcement)
	}
	if spec.MFA != nil {
		wanted.MFA = own(spec.MFA.Enforcement)
	}
	if spec.Training != nil {
		wanted.Training = own(spec.Training.Enforcement)
	}
	return wanted
}

func enforcementSummary(spec *v1alpha1.LabWorkloadSpec, wanted Enforcement, delayed bool) string {
	made, enforced := 0, 0
	count := func(isMade, isEnforced bool) {
		if isMade {
			made++
		}
		if isEnforced {
			enforced++
		}
	}
	count(RestrictsNetwork(spec), wanted.Network)
	count(Transit(spec) != nil, wanted.Transit)
	count(spec.Images != nil, wanted.Images)
	count(spec.MFA != nil, wanted.MFA)
	count(spec.Training != nil, wanted.Training)
	if made == 0 {
		count(true, spec.Enforcement == v1alpha1.EnforcementEnforce)
	}
	switch {
	case spec.Suspend:
		return "Suspended"
	case enforced == 0:
		return string(v1alpha1.EnforcementAudit)
	case delayed:
		return "Audit until " + spec.EnforceAfter
	case enforced == made:
		return string(v1alpha1.EnforcementEnforce)
	default:
		return "Mixed"
	}
}

// RestrictsNetwork says whether the spec makes the requirement NetworkIsolated: it names ports or gives egress.
func RestrictsNetwork(spec *v1alpha1.LabWorkloadSpec) bool {
	transit := Transit(spec)
	return transit != nil && len(transit.Ports) > 0 || spec.Network != nil && spec.Network.Egress != nil
}

// Transit is the requirement of encryption in transit, or nil.
func Transit(spec *v1alpha1.LabWorkloadSpec) *v1alpha1.InTransitSpec {
	if spec.Encryption == nil {
		return nil
	}
	return spec.Encryption.InTransit
}
