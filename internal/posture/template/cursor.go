// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"bytes"
	"fmt"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/json"
)

// cursor goes through JSON once, from value to value. What nobody asks for is jumped over and not looked at: that is most of an object
// (its managed fields alone are as long as the rest), and each write of a workload is read twice while its author waits. The JSON that
// comes here was parsed before, by whoever took the AdmissionReview apart or by a cache, so a jump needs no second proof; a value that
// is asked for and is of another type is an error all the same.
type cursor struct {
	raw []byte
	at  int
}

// object calls visit for each member. Keys count in their exact spelling. visit has to consume the value. null is an object without members.
func (c *cursor) object(visit func(key []byte) error) error {
	return c.each('{', '}', func() error {
		key, err := c.quoted()
		if err != nil {
			return err
		}
		if !c.take(':') {
			return c.unexpected("a colon")
		}
		return visit(key)
	})
}

// array calls visit for each element, which visit has to consume. null is an array without elements.
func (c *cursor) array(visit func() error) error {
	return c.each('[', ']', visit)
}

func (c *cursor) each(opening, closing byte, visit func() error) error {
	if c.null() {
		return nil
	}
	if !c.take(opening) {
		return c.unexpected(string(opening))
	}
	if c.take(closing) {
		return nil
	}
	for {
		if err := visit(); err != nil {
			return err
		}
		switch {
		case c.take(','):
		case c.take(closing):
			return nil
		default:
			return c.unexpected("a comma or " + string(closing))
		}
	}
}

// text sets target to the string at the cursor; null leaves it as it is.
func (c *cursor) text(target *string) error {
	if c.null() {
		return nil
	}
	value, err := c.quoted()
	if err != nil {
		return err
	}
	*target = readable(value)
	return nil
}

// texts reads an object whose values are strings; null is none.
func (c *cursor) texts() (map[string]string, error) {
	if c.null() {
		return nil, nil
	}
	texts := map[string]string{}
	err := c.object(func(key []byte) error {
		var value string
		name := readable(key)
		err := c.text(&value)
		texts[name] = value
		return err
	})
	return texts, err
}

// readable replaces what is no UTF-8, as every decoder of JSON does.
func readable(value []byte) string {
	if utf8.Valid(value) {
		return string(value)
	}
	return string([]rune(string(value)))
}

// quoted is the string at the cursor without its quotes. It is a part of the JSON, unless something in it is escaped.
func (c *cursor) quoted() ([]byte, error) {
	c.space()
	start := c.at
	escaped, err := c.jumpString()
	if err != nil || !escaped {
		return bytes.Trim(c.raw[start:c.at], `"`), err
	}
	var value string
	err = json.Unmarshal(c.raw[start:c.at], &value)
	return []byte(value), err
}

// value is the JSON of the value at the cursor.
func (c *cursor) value() ([]byte, error) {
	c.space()
	start := c.at
	err := c.jump()
	return c.raw[start:c.at], err
}

// jump goes behind the value at the cursor.
func (c *cursor) jump() error {
	depth := 0
	for c.space(); c.at < len(c.raw); {
		switch c.raw[c.at] {
		case '"':
			if _, err := c.jumpString(); err != nil {
				return err
			}
		case '{', '[':
			depth++
			c.at++
		case '}', ']':
			depth--
			c.at++
		case ',', ':', ' ', '\t', '\n', '\r':
			c.at++
			continue
		default:
			c.jumpWord()
		}
		if depth < 0 {
			break
		}
		if depth == 0 {
			return nil
		}
	}
	return c.unexpected("a value")
}

// jumpString goes behind the string at the cursor and says whether something in it is escaped.
func (c *cursor) jumpString() (escaped bool, err error) {
	if c.at >= len(c.raw) || c.raw[c.at] != '"' {
		return false, c.unexpected("a string")
	}
	c.at++
	length := bytes.IndexByte(c.raw[c.at:], '"')
	if length < 0 {
		return false, c.unexpected("the end of a string")
	}
	if bytes.IndexByte(c.raw[c.at:c.at+length], '\\') < 0 {
		c.at += length + 1
		return false, nil
	}
	for ; c.at < len(c.raw); c.at++ {
		switch c.raw[c.at] {
		case '\\':
			c.at++
		case '"':
			c.at++
			return true, nil
		}
	}
	c.at = len(c.raw)
	return true, c.unexpected("the end of a string")
}

// jumpWord goes behind a number, true, false or null.
func (c *cursor) jumpWord() {
	for c.at < len(c.raw) {
		switch c.raw[c.at] {
		case ',', ':', ' ', '\t', '\n', '\r', '}', ']', '{', '[', '"':
			return
		}
		c.at++
	}
}

func (c *cursor) space() {
	for c.at < len(c.raw) {
		switch c.raw[c.at] {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return
		}
	}
}

// end is an error if anything follows.
func (c *cursor) end() error {
	c.space()
	if c.at < len(c.raw) {
		return c.unexpected("the end")
	}
	return nil
}

// take goes behind a byte if it comes next.
func (c *cursor) take(next byte) bool {
	c.space()
	if c.at >= len(c.raw) || c.raw[c.at] != next {
		return false
	}
	c.at++
	return true
}

func (c *cursor) null() bool {
	c.space()
	if !bytes.HasPrefix(c.raw[c.at:], []byte("null")) {
		return false
	}
	c.at += len("null")
	return true
}

func (c *cursor) unexpected(wanted string) error {
	c.space()
	if c.at >= len(c.raw) {
		return fmt.Errorf("JSON ends where %s has to be", wanted)
	}
	return fmt.Errorf("JSON has %q at byte %d, where %s has to be", c.raw[c.at], c.at, wanted)
}
