// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package provider

import (
	"context"
	"crypto/subtle"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// loginPath is where people log in.
const loginPath = "/login"

// The fields of the page where people log in.
const (
	fieldID      = "id"
	fieldKey     = "key"
	fieldUser    = "user"
	fieldMethod  = "method"
	fieldContext = "context"
	fieldGroup   = "group"
	fieldAt      = "at"
)

// form fills the page in.
func (l Login) form(id, key string, now time.Time) url.Values {
	return url.Values{
		fieldID: {id}, fieldKey: {key}, fieldUser: {l.User}, fieldMethod: l.Methods, fieldContext: {l.Context}, fieldGroup: l.Groups,
		fieldAt: {strconv.FormatInt(now.Add(-l.Ago).Unix(), 10)},
	}
}

// page reads the form of a login and sends the browser back to the protocol.
func (p *Provider) page(callback func(context.Context, string) string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.PostFormValue(fieldKey)), []byte(p.key)) != 1 {
			http.Error(w, "only tests log in here", http.StatusForbidden)
			return
		}
		at, err := strconv.ParseInt(r.PostFormValue(fieldAt), 10, 64)
		if err != nil || r.PostFormValue(fieldUser) == "" {
			http.Error(w, "a login needs a user and a time", http.StatusBadRequest)
			return
		}
		id := r.PostFormValue(fieldID)
		err = p.store.login(id, session{
			user: r.PostFormValue(fieldUser), context: r.PostFormValue(fieldContext), methods: r.PostForm[fieldMethod], groups: r.PostForm[fieldGroup],
			at: time.Unix(at, 0).UTC(),
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		http.Redirect(w, r, callback(r.Context(), id), http.StatusSeeOther)
	})
}
