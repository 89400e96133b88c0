// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// maxGlimpse is how many bytes of a value, and never more than half of it, stand in a problem.
const maxGlimpse = 12

// brailleBlank is a symbol that looks like a space.
const brailleBlank = '\u2800'

// readable says what is wrong with a value as such: it has to be one that people who look at it tell from any other with other bytes, as far as that is
// possible without folding look-alikes of different scripts.
func readable(value string) string {
	switch {
	case len(value) > maxValue:
		return "longer than " + strconv.Itoa(maxValue) + " bytes"
	case !utf8.ValidString(value):
		return "not UTF-8"
	case strings.ContainsFunc(value, invisible):
		return "invisible characters"
	case strings.TrimSpace(value) != value:
		return "spaces around it"
	case !norm.NFC.IsNormalString(value):
		return "not in Unicode's normal form NFC"
	default:
		return ""
	}
}

// digits says what is wrong with a number.
func digits(value string) string {
	if len(value) > maxValue {
		return readable(value)
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < '0' || r > '9' }) {
		return "not digits alone"
	}
	return ""
}

// invisible says of a character that nobody sees it, or that it is one of several that look like a space. IsPrint knows controls, formats and other spaces;
// the rest are letters and marks that are drawn as nothing (DerivedCoreProperties, Default_Ignorable_Code_Point).
func invisible(r rune) bool {
	return !unicode.IsPrint(r) || r == brailleBlank || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// glimpse is the beginning of a value, quoted, in ASCII, and never the whole value.
func glimpse(value string) string {
	end := min(maxGlimpse, len(value)/2)
	for end > 0 && !utf8.RuneStart(value[end]) {
		end--
	}
	return strconv.QuoteToASCII(value[:end]) + "..."
}

// shown is a key, which the platform team has configured, fit for one line.
func shown(key string) string {
	if quoted := strconv.QuoteToASCII(key); quoted != `"`+key+`"` || len(key) > maxValue {
		return strconv.QuoteToASCII(key[:min(len(key), maxGlimpse)]) + "..."
	}
	return key
}
