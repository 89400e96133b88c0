// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// cursor goes through JSON once, from value to value. What nobody asks for is skipped: that is most of an object (its managed fields alone are as long as
// the rest), and each write of a workload is read while its author waits. A value that is asked for and is of another type is an error. The API
// server has encoded the object itself, so that no key stands in it twice.
type cursor struct{ decoder *jsontext.Decoder }

func newCursor(raw []byte) *cursor {
	return &cursor{decoder: jsontext.NewDecoder(bytes.NewBuffer(raw), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))}
}

// object calls visit for each member. Keys count in their exact spelling. visit has to consume the value. null is an object without members.
func (c *cursor) object(visit func(key string) error) error {
	return c.each(jsontext.BeginObject, func() error {
		key, err := c.decoder.ReadToken()
		if err != nil {
			return err
		}
		return visit(key.String())
	})
}

// array calls visit for each element, which visit has to consume. null is an array without elements.
func (c *cursor) array(visit func() error) error {
	return c.each(jsontext.BeginArray, visit)
}

func (c *cursor) each(opening jsontext.Token, visit func() error) error {
	if found, err := c.next(opening.Kind()); !found {
		return err
	}
	for {
		if kind := c.decoder.PeekKind(); kind == jsontext.KindEndObject || kind == jsontext.KindEndArray || kind == jsontext.KindInvalid {
			_, err := c.decoder.ReadToken()
			return err
		}
		if err := visit(); err != nil {
			return err
		}
	}
}

// next reads a token of a kind. It is false for null, and for a token of another kind, which is an error.
func (c *cursor) next(kind jsontext.Kind) (bool, error) {
	token, err := c.decoder.ReadToken()
	switch {
	case err != nil:
		return false, err
	case token.Kind() == jsontext.KindNull:
		return false, nil
	case token.Kind() != kind:
		return false, fmt.Errorf("%s is a %s and not a %s", c.decoder.StackPointer(), token.Kind(), kind)
	default:
		return true, nil
	}
}

// text sets target to the string at the cursor; null leaves it as it is.
func (c *cursor) text(target *string) error {
	token, err := c.decoder.ReadToken()
	switch {
	case err != nil, token.Kind() == jsontext.KindNull:
		return err
	case token.Kind() != jsontext.KindString:
		return fmt.Errorf("%s is a %s and not a string", c.decoder.StackPointer(), token.Kind())
	}
	*target = token.String()
	return nil
}

// texts reads an object whose values are strings; null is none.
func (c *cursor) texts() (map[string]string, error) {
	if c.decoder.PeekKind() == jsontext.KindNull {
		return nil, c.jump()
	}
	texts := map[string]string{}
	err := c.object(func(key string) error {
		var value string
		err := c.text(&value)
		texts[key] = value
		return err
	})
	return texts, err
}

// value is the JSON of the value at the cursor. It is good until the cursor moves.
func (c *cursor) value() ([]byte, error) { return c.decoder.ReadValue() }

// jump goes behind the value at the cursor. All of it is in memory, so that reading the value whole is quicker than skipping it token by token.
func (c *cursor) jump() error {
	_, err := c.decoder.ReadValue()
	return err
}

// end is an error if anything follows.
func (c *cursor) end() error {
	if _, err := c.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("something follows the object at byte %d", c.decoder.InputOffset())
	}
	return nil
}
