// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// FuzzLean decodes AdmissionReviews with and without their objects: all the rest has to be the same.
func FuzzLean(f *testing.F) {
	for _, seed := range []string{
		`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"1","object":{"a":["}\"",{}]},"oldObject":null,"name":"n","options":{"dryRun":[]}}}`,
		`{"request":{"object":1,"object":2,"userInfo":{"username":"u","extra":{"object":["x"]}}},"request":{"options":"\\"},"response":{"request":{"object":{}}}}`,
		` { "request" : { "OBJECT" : {} , "obj\u0065ct" : [ ] , "dryRun" : true } } `, `{"request":null}`, `{"request":[{"object":1}]}`, `{"request":{"object":{}`,
		`{"request":{"object":{}}}{"request":{"object":{}}}`, `{"request":{"object":{}}} x`, "{\"request\":{\"object\":\"\xff\",\"name\":\"\xff\"}}", `[]`, ``, `null`, `{,}`, `{"request":{"object":}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		short := lean(raw)
		if !bytes.Equal(before, raw) {
			t.Fatalf("what was read has changed: %q", raw)
		}
		var whole, rest admissionv1.AdmissionReview
		if err := json.Unmarshal(raw, &whole); err != nil {
			return
		}
		if err := json.Unmarshal(short, &rest); err != nil {
			t.Fatalf("%q cannot be decoded: %v", short, err)
		}
		for _, review := range []*admissionv1.AdmissionReview{&whole, &rest} {
			if request := review.Request; request != nil {
				request.Object, request.OldObject, request.Options = runtime.RawExtension{}, runtime.RawExtension{}, runtime.RawExtension{}
			}
		}
		if diff := cmp.Diff(whole, rest); diff != "" {
			t.Fatalf("without objects it says something else (-whole +rest):\n%s", diff)
		}
	})
}

func TestNothingOfTheObjectsIsLeft(t *testing.T) {
	t.Parallel()
	const review = `{"kind":"AdmissionReview","request":{"uid":"1","object":{"a":"}"},"name":"n","oldObject":{"b":[]},"options":{}}}`
	const want = `{"kind":"AdmissionReview","request":{"uid":"1","object":null,"name":"n","oldObject":null,"options":null}}`
	if got := string(lean([]byte(review))); got != want {
		t.Errorf("%s is left", got)
	}
}

// TestWhatIsTooLongStaysAsLong, so that whoever reads it says so.
func TestWhatIsTooLongStaysAsLong(t *testing.T) {
	t.Parallel()
	review := `{"request":{"object":"` + strings.Repeat("x", maxReview) + `"}}`
	read, err := io.ReadAll(withoutObjects(io.NopCloser(strings.NewReader(review)), -1))
	if err != nil || string(read) != review {
		t.Errorf("%d bytes of %d are left: %v", len(read), len(review), err)
	}
}
