// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/labguard/labguard/api/v1alpha1"
)

const (
	enforce = v1alpha1.EnforcementEnforce
	audit   = v1alpha1.EnforcementAudit
)

// every makes three requirements: what a workload is made of.
func every(change func(*v1alpha1.LabWorkloadSpec)) v1alpha1.LabWorkloadSpec {
	spec := v1alpha1.LabWorkloadSpec{
		Encryption: &v1alpha1.EncryptionSpec{InTransit: &v1alpha1.InTransitSpec{Ports: []v1alpha1.TransitPort{{Name: "mllp", Port: 2575}}}},
		Network:    &v1alpha1.NetworkSpec{Egress: []v1alpha1.EgressPeer{}},
		Images:     &v1alpha1.ImagesSpec{MaxAge: "2160h"},
	}
	change(&spec)
	return spec
}

// people adds the two requirements of what people do.
func people(spec *v1alpha1.LabWorkloadSpec) {
	spec.MFA, spec.Training = &v1alpha1.MFASpec{MaxAge: "12h"}, &v1alpha1.TrainingSpec{Courses: []v1alpha1.Course{"phishing-basics"}}
}

func TestWhatIsInForce(t *testing.T) {
	t.Parallel()
	midnight := time.Date(2027, time.January, 15, 0, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		spec v1alpha1.LabWorkloadSpec
		now  time.Time
		want Enforcement
	}{
		"nothing said is Audit": {every(func(*v1alpha1.LabWorkloadSpec) {}), today, Enforcement{Summary: "Audit"}},
		"Enforce is everything": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.Enforcement = enforce }), today,
			Enforcement{Network: true, Transit: true, Images: true, Summary: "Enforce"},
		},
		"a requirement may stay at Audit": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.Enforcement, s.Network.Enforcement = enforce, audit }), today,
			Enforcement{Transit: true, Images: true, Summary: "Mixed"},
		},
		"a requirement may enforce alone: images": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.Enforcement, s.Images.Enforcement = audit, enforce }), today, Enforcement{Images: true, Summary: "Mixed"},
		},
		"a requirement may enforce alone: transit": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.Encryption.InTransit.Enforcement = enforce }), today, Enforcement{Transit: true, Summary: "Mixed"},
		},
		"a requirement may enforce alone: network": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.Network.Enforcement = enforce }), today, Enforcement{Network: true, Summary: "Mixed"},
		},
		"each at Audit by itself is Audit": {
			every(func(s *v1alpha1.LabWorkloadSpec) {
				s.Enforcement, s.Network.Enforcement, s.Images.Enforcement, s.Encryption.InTransit.Enforcement = enforce, audit, audit, audit
			}), today, Enforcement{Summary: "Audit"},
		},
		"what is not required is not in force": {
			v1alpha1.LabWorkloadSpec{Enforcement: enforce, Images: &v1alpha1.ImagesSpec{}}, today, Enforcement{Images: true, Summary: "Enforce"},
		},
		"nothing required says what is written": {v1alpha1.LabWorkloadSpec{Enforcement: enforce}, today, Enforcement{Summary: "Enforce"}},
		"nothing at all is Audit":               {v1alpha1.LabWorkloadSpec{}, today, Enforcement{Summary: "Audit"}},
		"ports without a network section follow the whole": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.Enforcement, s.Network = enforce, nil }), today,
			Enforcement{Network: true, Transit: true, Images: true, Summary: "Enforce"},
		},
		"the ports follow network.enforcement and not that of the certificate": {
			every(func(s *v1alpha1.LabWorkloadSpec) {
				s.Network, s.Images, s.Encryption.InTransit.Enforcement = &v1alpha1.NetworkSpec{Enforcement: enforce}, nil, audit
			}), today, Enforcement{Network: true, Summary: "Mixed"},
		},
		"a network section that restricts nothing is no requirement": {
			v1alpha1.LabWorkloadSpec{Network: &v1alpha1.NetworkSpec{Enforcement: enforce}}, today, Enforcement{Summary: "Audit"},
		},
		"encryption without inTransit is no requirement": {
			v1alpha1.LabWorkloadSpec{Enforcement: enforce, Encryption: &v1alpha1.EncryptionSpec{}}, today, Enforcement{Summary: "Enforce"},
		},
		"Enforce is everything that people do, too": {
			every(func(s *v1alpha1.LabWorkloadSpec) { people(s); s.Enforcement = enforce }), today,
			Enforcement{Network: true, Transit: true, Images: true, MFA: true, Training: true, Summary: "Enforce"},
		},
		"a requirement may stay at Audit: logins": {
			every(func(s *v1alpha1.LabWorkloadSpec) { people(s); s.Enforcement, s.MFA.Enforcement = enforce, audit }), today,
			Enforcement{Network: true, Transit: true, Images: true, Training: true, Summary: "Mixed"},
		},
		"a requirement may enforce alone: logins": {
			v1alpha1.LabWorkloadSpec{MFA: &v1alpha1.MFASpec{Enforcement: enforce}}, today, Enforcement{MFA: true, Summary: "Enforce"},
		},
		"a requirement may enforce alone: training": {
			every(func(s *v1alpha1.LabWorkloadSpec) { people(s); s.Training.Enforcement = enforce }), today, Enforcement{Training: true, Summary: "Mixed"},
		},
		"logins alone that say nothing are Audit": {v1alpha1.LabWorkloadSpec{MFA: &v1alpha1.MFASpec{}}, today, Enforcement{Summary: "Audit"}},
		"logins alone begin on their day": {
			v1alpha1.LabWorkloadSpec{MFA: &v1alpha1.MFASpec{Enforcement: enforce}, EnforceAfter: "2027-01-15"}, midnight.Add(-1),
			Enforcement{Summary: "Audit until 2027-01-15", NextChange: midnight},
		},
		"training alone begins on its day": {
			v1alpha1.LabWorkloadSpec{Training: &v1alpha1.TrainingSpec{Enforcement: enforce}, EnforceAfter: "2027-01-15"}, midnight,
			Enforcement{Training: true, Summary: "Enforce"},
		},
		"before the day it is Audit, and time will change it": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.Enforcement, s.EnforceAfter = enforce, "2027-01-15" }), midnight.Add(-1),
			Enforcement{Summary: "Audit until 2027-01-15", NextChange: midnight},
		},
		"at midnight UTC of the day it begins": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.Enforcement, s.EnforceAfter = enforce, "2027-01-15" }), midnight,
			Enforcement{Network: true, Transit: true, Images: true, Summary: "Enforce"},
		},
		"an instant with a zone begins there": {
			every(func(s *v1alpha1.LabWorkloadSpec) {
				s.Enforcement, s.EnforceAfter = enforce, "2027-01-15T02:00:00+02:00"
			}), midnight.Add(-1),
			Enforcement{Summary: "Audit until 2027-01-15T02:00:00+02:00", NextChange: midnight},
		},
		"an instant with a zone has begun there": {
			every(func(s *v1alpha1.LabWorkloadSpec) {
				s.Enforcement, s.EnforceAfter = enforce, "2027-01-14T19:00:00-05:00"
			}), midnight,
			Enforcement{Network: true, Transit: true, Images: true, Summary: "Enforce"},
		},
		"a requirement's own Enforce starts nothing earlier": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.Images.Enforcement, s.EnforceAfter = enforce, "2027-01-15" }), today,
			Enforcement{Summary: "Audit until 2027-01-15", NextChange: midnight},
		},
		"after the day only what is wanted begins": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.Images.Enforcement, s.EnforceAfter = enforce, "2027-01-15" }), midnight,
			Enforcement{Images: true, Summary: "Mixed"},
		},
		"a day that starts nothing changes nothing": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.EnforceAfter = "2027-01-15" }), today, Enforcement{Summary: "Audit"},
		},
		"a day where nothing is required is told and changes nothing": {
			v1alpha1.LabWorkloadSpec{Enforcement: enforce, EnforceAfter: "2027-01-15"}, today, Enforcement{Summary: "Audit until 2027-01-15"},
		},
		"a day that does not exist never comes": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.Enforcement, s.EnforceAfter = enforce, "2027-02-30" }), today.Add(3650 * day),
			Enforcement{Summary: "Audit until 2027-02-30"},
		},
		"suspend leaves the gate as it was and says so": {
			every(func(s *v1alpha1.LabWorkloadSpec) { s.Enforcement, s.Suspend = enforce, true }), today,
			Enforcement{Network: true, Transit: true, Images: true, Summary: "Suspended"},
		},
		"suspend does not stop the day from coming": {
			every(func(s *v1alpha1.LabWorkloadSpec) {
				s.Enforcement, s.Suspend, s.EnforceAfter = enforce, true, "2027-01-15"
			}), today,
			Enforcement{Summary: "Suspended", NextChange: midnight},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, EnforcementAt(&test.spec, test.now)); diff != "" {
				t.Errorf("enforcement (-want +got):\n%s", diff)
			}
		})
	}
}

func TestEnforceAfterIsAnInstantOrADay(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Time{
		"2027-01-15":                time.Date(2027, 1, 15, 0, 0, 0, 0, time.UTC),
		"2028-02-29":                time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC),
		"2027-01-15T06:00:00Z":      time.Date(2027, 1, 15, 6, 0, 0, 0, time.UTC),
		"2027-01-15T06:00:00+05:30": time.Date(2027, 1, 15, 0, 30, 0, 0, time.UTC),
		"":                          {}, "2027-02-29": {}, "2027-02-30": {}, "2027-1-5": {}, "15.01.2027": {}, "2027-01-15T06:00:00": {}, "2027-01-15T": {},
		"2027-01-15T06:00:60Z": {}, "2027-01-15T06:00:00+99:00": {}, "soon": {},
	} {
		got, ok := EnforceAfter(value)
		if !got.Equal(want) || ok != !want.IsZero() || got.Location() != time.UTC {
			t.Errorf("EnforceAfter(%q) = %s, %t; want %s", value, got, ok, want)
		}
	}
}

func FuzzEnforceAfter(f *testing.F) {
	for _, seed := range []string{"2027-01-15", "2027-01-15T06:00:00Z", "2027-01-15T06:00:00.5+14:00", "2027-02-30", "", "0000-01-01", "9999-12-31T23:59:59-23:59"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		start, known := EnforceAfter(value)
		spec := every(func(s *v1alpha1.LabWorkloadSpec) { s.Enforcement, s.EnforceAfter = enforce, value })
		switch now := EnforcementAt(&spec, today); {
		case !known && !start.IsZero():
			t.Errorf("%q is no instant and gives %s", value, start)
		case !known && value != "" && now.Images:
			t.Errorf("%q is no instant and starts enforcement", value)
		case known && now.Images == today.Before(start):
			t.Errorf("%q is %s and in force at %s: %t", value, start, today, now.Images)
		}
		if !known {
			return
		}
		again, ok := EnforceAfter(start.Format(time.RFC3339Nano))
		if year := start.Year(); year >= 0 && year <= 9999 && (!ok || !again.Equal(start)) {
			t.Errorf("%q is %s, and written again %s", value, start, again)
		}
	})
}

func TestPropertyEnforcementChangesWhenItSaysAndNeverSwitchesOff(t *testing.T) {
	t.Parallel()
	words := rapid.SampledFrom([]v1alpha1.Enforcement{"", audit, enforce})
	days := rapid.SampledFrom([]string{"", "2026-08-15", "2026-11-23", "2026-11-23T12:00:00Z", "2026-11-23T14:10:00+02:00", "2027-01-02", "2027-02-30"})
	rapid.Check(t, func(t *rapid.T) {
		spec := every(func(s *v1alpha1.LabWorkloadSpec) {
			s.Enforcement, s.EnforceAfter, s.Suspend = words.Draw(t, "enforcement"), days.Draw(t, "after"), rapid.Bool().Draw(t, "suspend")
			s.Images.Enforcement, s.Network.Enforcement = words.Draw(t, "images"), words.Draw(t, "network")
			s.Encryption.InTransit.Enforcement = words.Draw(t, "transit")
			people(s)
			if rapid.Bool().Draw(t, "people alone") {
				s.Images, s.Network, s.Encryption = nil, nil, nil
			}
			s.MFA.Enforcement, s.Training.Enforcement = words.Draw(t, "mfa"), words.Draw(t, "training")
		})
		now := instants().Draw(t, "now")
		got := EnforcementAt(&spec, now)
		if got.Summary == "" || len(got.Summary) > 64 {
			t.Fatalf("the API would refuse %q", got.Summary)
		}
		if got.NextChange.IsZero() {
			if diff := cmp.Diff(got, EnforcementAt(&spec, now.Add(5000*day))); diff != "" && !strings.HasPrefix(got.Summary, "Audit until") {
				t.Fatalf("time was said to change nothing:\n%s", diff)
			}
			return
		}
		if diff := cmp.Diff(got, EnforcementAt(&spec, got.NextChange.Add(-1))); diff != "" {
			t.Fatalf("changed before %s:\n%s", got.NextChange, diff)
		}
		after := EnforcementAt(&spec, got.NextChange)
		if got.anything() || !after.anything() {
			t.Fatalf("before %+v, after %+v", got, after)
		}
	})
}
