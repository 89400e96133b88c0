// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"encoding/json"
	"fmt"
	"unicode"
	"unicode/utf16"
)

// JSON is JSON of the same values in which all characters that Visible would change are escaped (RFC 8259, section 7). encoding/json escapes those below
// U+0020 and leaves the others, so that a terminal would take commands from them.
func JSON(encoded []byte) []byte {
	return escapeIn(encoded, func(r rune) string {
		if high, low := utf16.EncodeRune(r); high != unicode.ReplacementChar {
			return fmt.Sprintf(`\u%04x\u%04x`, high, low)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})
}

// YAML is a text between double quotes as YAML has it (YAML 1.2, section 5.7), with the same characters escaped. Escapes are those of JSON, but for
// characters beyond U+FFFF: YAML has no pairs of them.
func YAML(text string) (string, error) {
	encoded, err := json.Marshal(text)
	if err != nil {
		return "", err
	}
	return string(escapeIn(encoded, func(r rune) string {
		if r > 0xffff {
			return fmt.Sprintf(`\U%08x`, r)
		}
		return fmt.Sprintf(`\u%04x`, r)
	})), nil
}

// escapeIn escapes what is beyond ASCII and not visible, and the character DEL. In JSON these stand in texts alone.
func escapeIn(encoded []byte, escape func(rune) string) []byte {
	plain := make([]byte, 0, len(encoded))
	for _, r := range string(encoded) {
		if r >= unicode.MaxASCII && (!unicode.IsPrint(r) || r == unicode.ReplacementChar) {
			plain = append(plain, escape(r)...)
			continue
		}
		plain = append(plain, string(r)...)
	}
	return plain
}
