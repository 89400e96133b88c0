// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"bytes"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

const (
	// maxReview is as much of an AdmissionReview as controller-runtime reads.
	maxReview = 7 << 20
	// expectedReview is room for most AdmissionReviews.
	expectedReview = 64 << 10
)

// withoutObjects reads an AdmissionReview and leaves out its objects, of which no answer about people depends on anything: they are most of it, and whoever
// decodes it would go through them three times. What cannot be read is left as it is, for the decoder to say so.
func withoutObjects(body io.ReadCloser, length int64) io.ReadCloser {
	var read bytes.Buffer
	read.Grow(int(min(max(length, 0), expectedReview)) + bytes.MinRead)
	_, _ = read.ReadFrom(io.LimitReader(body, maxReview+1)) // whoever reads on gets the error again
	review := read.Bytes()
	if len(review) <= maxReview {
		review = lean(review)
	}
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(review), body), body}
}

// lean puts null in the place of request.object, oldObject and options. It looks at nothing else, so that whatever else a request says, it says to the
// decoder.
func lean(review []byte) []byte {
	decoder := jsontext.NewDecoder(bytes.NewBuffer(review), jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	var kept []byte
	from := 0
	err := members(decoder, func(key string) error {
		if key != "request" {
			return decoder.SkipValue()
		}
		return members(decoder, func(key string) error {
			value, err := decoder.ReadValue()
			if err != nil || key != "object" && key != "oldObject" && key != "options" {
				return err
			}
			end := int(decoder.InputOffset())
			kept = append(append(kept, review[from:end-len(value)]...), "null"...)
			from = end
			return nil
		})
	})
	if err != nil {
		return review
	}
	return append(kept, review[from:]...)
}

// members calls visit, which consumes the value, for each member of the object at the decoder. What is no object is skipped.
func members(decoder *jsontext.Decoder, visit func(key string) error) error {
	if decoder.PeekKind() != jsontext.KindBeginObject {
		return decoder.SkipValue()
	}
	if _, err := decoder.ReadToken(); err != nil {
		return err
	}
	for decoder.PeekKind() == jsontext.KindString {
		key, err := decoder.ReadToken()
		if err != nil {
			return err
		}
		if err := visit(key.String()); err != nil {
			return err
		}
	}
	_, err := decoder.ReadToken()
	return err
}
