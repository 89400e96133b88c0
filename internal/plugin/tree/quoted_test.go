// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"encoding/json"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/plugin/tree"
)

// visibleAlone says whether a text has nothing that Visible would change, besides the ends of lines.
func visibleAlone(text string) bool {
	for line := range strings.SplitSeq(text, "\n") {
		if tree.Visible(line) != line {
			return false
		}
	}
	return true
}

func TestWhatIsEscapedIsTheSameTextAndCommandsNoTerminal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]string{
		"Ångström 安":          {`"Ångström 安"`, `"Ångström 安"`},
		"a\x1b[2Jb":           {`"a\u001b[2Jb"`, `"a\u001b[2Jb"`},
		"\u009b31m":           {`"\u009b31m"`, `"\u009b31m"`},
		"a\x7fb":              {`"a\u007fb"`, `"a\u007fb"`},
		"user\u202ecod":       {`"user\u202ecod"`, `"user\u202ecod"`},
		"\u2066a\u2069\u200f": {`"\u2066a\u2069\u200f"`, `"\u2066a\u2069\u200f"`},
		"a\U000e0001b":        {`"a\udb40\udc01b"`, `"a\U000e0001b"`},
		`a\"b`:                {`"a\\\"b"`, `"a\\\"b"`},
	} {
		encoded, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(tree.JSON(encoded)); got != want[0] {
			t.Errorf("%q is %s in JSON, want %s", text, got, want[0])
		}
		if got, err := tree.YAML(text); err != nil || got != want[1] {
			t.Errorf("%q is %s in YAML, want %s: %v", text, got, want[1], err)
		}
	}
}

func FuzzEscapedTextIsReadAsItWas(f *testing.F) {
	for _, seed := range []string{"", "a", "\u202e", "\u009b31m", "\x7f", "\U000e0001", "\xff", "\ufffd", "\u2028", "\\u202e", "\"\n\t"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		encoded, err := json.Marshal(map[string]any{text: []string{text}})
		if err != nil {
			t.Fatal(err)
		}
		var before, after map[string][]string
		escaped := tree.JSON(encoded)
		if err := json.Unmarshal(encoded, &before); err != nil {
			t.Fatal(err)
		}
		text = strings.ToValidUTF8(text, "\ufffd")
		if err := json.Unmarshal(escaped, &after); err != nil || len(after) != 1 || after[text] == nil != (before[text] == nil) || !visibleAlone(string(escaped)) {
			t.Errorf("%s: %v", escaped, err)
		}
		for key, list := range before {
			if got := after[key]; len(got) != 1 || got[0] != list[0] {
				t.Errorf("%q is read as %q", list, got)
			}
		}
		quoted, err := tree.YAML(text)
		var read string
		if err != nil || yaml.Unmarshal([]byte(quoted), &read) != nil || read != text || !visibleAlone(quoted) {
			t.Errorf("%q is %s in YAML, and read as %q: %v", text, quoted, read, err)
		}
	})
}
