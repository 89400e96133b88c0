// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// Parse reads and checks a document. Fields that it does not know are passed over, so that an older airlock works with a newer labguard; what the
// fields mean changes only together with Version.
func Parse(document []byte) (*Configuration, error) {
	if len(document) > MaxBytes {
		return nil, fmt.Errorf("configuration has %d bytes, more than %d", len(document), MaxBytes)
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	configuration := &Configuration{}
	if err := decoder.Decode(configuration); err != nil {
		return nil, fmt.Errorf("decode configuration: %w", plain(err))
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("decode configuration: there is something behind the document")
	}
	if err := configuration.Check(); err != nil {
		return nil, err
	}
	return configuration, nil
}

// plain leaves out what an error of encoding/json quotes of the document where that may be long.
func plain(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%s: a value of another type is expected", cut(wrong.Field))
	}
	return errors.New(cut(err.Error()))
}

// cut keeps an error short whatever the document has.
func cut(text string) string {
	const most = 128
	if len(text) > most {
		return text[:most] + "..."
	}
	return text
}
