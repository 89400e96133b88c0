// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"
)

// fataler is what testing.T and rapid.T have in common.
type fataler interface{ Fatalf(string, ...any) }

// requireSound checks what holds of every verdict: a known answer, a reason that the API takes, and a message for a person on one line.
func requireSound(t fataler, v Verdict) {
	switch v.Status() {
	case metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown:
	default:
		t.Fatalf("%q is no answer", v.Status())
	}
	if v.Reason == "" || v.Message == "" {
		t.Fatalf("a verdict without reason or message: %+v", v)
	}
	if len(v.Message) >= 300 || !utf8.ValidString(v.Message) || strings.ContainsAny(v.Message, "\n\r\x00\x1b") {
		t.Fatalf("a message of %d bytes that no condition should carry: %q", len(v.Message), v.Message)
	}
}

// someNames draws names that nobody would think of.
func someNames() *rapid.Generator[[]string] {
	return rapid.SliceOfN(rapid.OneOf(
		rapid.String(), rapid.SampledFrom([]string{"", "lis", "pathology/lis", strings.Repeat("n", 253), strings.Repeat("é", 400), "\xff\xfe", "a\nb\x1b[31m", "%s%d%"}),
	), 0, 6)
}

func TestTheZeroVerdictIsUnknown(t *testing.T) {
	t.Parallel()
	for name, got := range map[string]metav1.ConditionStatus{
		"of a verdict": Verdict{}.Status(), "of a report": ImagesReport{}.Status(), "of a sum": Compliant(nil).Status(),
		"of a sum over a zero verdict": Compliant(map[string]Verdict{"ImagesFresh": {}}).Status(),
	} {
		if got != metav1.ConditionUnknown {
			t.Errorf("the zero value %s is %q, want Unknown", name, got)
		}
	}
	if got := (Verdict{Answer: metav1.ConditionTrue}).Status(); got != metav1.ConditionTrue {
		t.Errorf("True became %q", got)
	}
}

func TestEarliestTakesZeroForNever(t *testing.T) {
	t.Parallel()
	later := today.Add(1)
	for name, test := range map[string]struct{ a, b, want time.Time }{
		"never and never":      {time.Time{}, time.Time{}, time.Time{}},
		"never and an instant": {time.Time{}, today, today},
		"an instant and never": {today, time.Time{}, today},
		"earlier and later":    {today, later, today},
		"later and earlier":    {later, today, today},
	} {
		if got := Earliest(test.a, test.b); !got.Equal(test.want) {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestAListIsSortedAndCutToThree(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		names []string
		want  string
	}{
		"none":                             {nil, ""},
		"one":                              {[]string{"a"}, "a"},
		"three in another order":           {[]string{"c", "a", "b"}, "a, b, c"},
		"doubles are told once":            {[]string{"b", "a", "b", "a"}, "a, b"},
		"doubles are not counted":          {[]string{"a", "b", "c", "c"}, "a, b, c"},
		"four are three and one more":      {[]string{"d", "c", "b", "a"}, "a, b, c and 1 more"},
		"what cannot be printed is a mark": {[]string{"a\nb", "\xff", "\u202e"}, "?, a?b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			given := append([]string(nil), test.names...)
			if got := List(test.names); got != test.want {
				t.Errorf("List(%q) = %q, want %q", test.names, got, test.want)
			}
			if diff := cmp.Diff(given, test.names); diff != "" {
				t.Errorf("the caller's list was changed:\n%s", diff)
			}
		})
	}
}

func TestLongNamesNeverCutOffTheEndOfASentence(t *testing.T) {
	t.Parallel()
	long := func(letter string) string { return strings.Repeat(letter, 120) }
	for name, test := range map[string]struct {
		lists [][]string
		want  string
	}{
		"three names of which two fit": {
			[][]string{{long("a"), long("b"), long("c")}, {"x"}},
			"the names " + long("a") + ", " + long("b") + " and 1 more are (x) wrong: mend them",
		},
		"one that is too long by itself": {
			[][]string{{strings.Repeat("a", 400)}, {"x"}},
			"the names " + strings.Repeat("a", 261) + "... are (x) wrong: mend them",
		},
		"two lists that are too long share the room": {
			[][]string{{strings.Repeat("a", 400)}, {strings.Repeat("b", 400)}},
			"the names " + strings.Repeat("a", 129) + "... are (" + strings.Repeat("b", 130) + "...) wrong: mend them",
		},
		"too long by itself and not alone": {
			[][]string{{strings.Repeat("a", 400), "b"}, {"x"}},
			"the names " + strings.Repeat("a", 250) + "... and 1 more are (x) wrong: mend them",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := verdict(metav1.ConditionFalse, "Reason", "the names %s are (%s) wrong: mend them", test.lists...)
			if diff := cmp.Diff(test.want, got.Message); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPropertyASentenceKeepsItsEndAndItsBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		got := verdict(metav1.ConditionFalse, "Reason", "of %s and of %s: mend them", someNames().Draw(t, "first"), someNames().Draw(t, "second"))
		requireSound(t, got)
		if !strings.HasSuffix(got.Message, ": mend them") {
			t.Fatalf("the end is cut off: %q", got.Message)
		}
	})
}

func FuzzCutStaysWithinItsLimitAndBetweenCharacters(f *testing.F) {
	f.Add("", 0)
	f.Add("abcdef", 5)
	f.Add("ééé", 4)
	f.Add("日本語", 2)
	f.Add("abc", -1)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		got := cut(text, limit)
		if len(got) > max(0, limit) {
			t.Errorf("cut(%q, %d) has %d bytes", text, limit, len(got))
		}
		if utf8.ValidString(text) && !utf8.ValidString(got) {
			t.Errorf("cut(%q, %d) = %q is no UTF-8", text, limit, got)
		}
		if len(text) <= limit && got != text {
			t.Errorf("cut(%q, %d) = %q, although it fits", text, limit, got)
		}
	})
}

func FuzzPlainIsPrintable(f *testing.F) {
	f.Add("a\nb")
	f.Add("\xff\u202e\x1b[31m")
	f.Fuzz(func(t *testing.T, text string) {
		got := plain(text)
		if !utf8.ValidString(got) || strings.ContainsAny(got, "\n\r\t\x00\x1b\u202e\u2028") {
			t.Errorf("plain(%q) = %q", text, got)
		}
		if plain(got) != got {
			t.Errorf("plain is not done after one go: %q", got)
		}
	})
}
