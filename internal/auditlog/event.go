// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package auditlog

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
)

// apiVersion is that of the events. Older ones were removed from Kubernetes in 1.24.
const apiVersion = "audit.k8s.io/v1"

// event is what is read of an audit event; all else of it, such as the objects that were written, is skipped.
type event struct {
	APIVersion       string            `json:"apiVersion"`
	Kind             string            `json:"kind"`
	AuditID          string            `json:"auditID"`
	Stage            string            `json:"stage"`
	RequestURI       string            `json:"requestURI"`
	Verb             string            `json:"verb"`
	User             userInfo          `json:"user"`
	ImpersonatedUser *userInfo         `json:"impersonatedUser"`
	ObjectRef        *reference        `json:"objectRef"`
	ResponseStatus   *status           `json:"responseStatus"`
	Received         time.Time         `json:"requestReceivedTimestamp"`
	Annotations      map[string]string `json:"annotations"`
}

type userInfo struct {
	Username string   `json:"username"`
	Groups   []string `json:"groups"`
}

type reference struct {
	APIGroup    string `json:"apiGroup"`
	Resource    string `json:"resource"`
	Subresource string `json:"subresource"`
	Namespace   string `json:"namespace"`
	Name        string `json:"name"`
}

type status struct {
	Code int `json:"code"`
}

// parse reads a line.
func parse(line []byte) (event, string) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		return event{}, "is no JSON of an audit event"
	}
	if e.APIVersion != apiVersion || e.Kind != "Event" {
		return event{}, "is no Event of " + apiVersion
	}
	return e, ""
}

// request tells requests apart. The audit ID alone does not: clients may choose it (the header Audit-ID), and whoever gives it to two requests must not hide
// one of them.
type request struct {
	auditID, user, verb, uri string
	received                 time.Time
}

func (e event) request() request {
	return request{auditID: e.AuditID, user: e.User.Username, verb: e.Verb, uri: e.RequestURI, received: e.Received.UTC()}
}

// codeOf is the status of an answer that is there as a whole: an exec has two answers, 101 when it begins and its last one.
func codeOf(e event) int {
	if e.ResponseStatus != nil && (e.Stage == "ResponseComplete" || e.Stage == "Panic") {
		return e.ResponseStatus.Code
	}
	return 0
}

// who is whom admission sees: the impersonated user where there is one.
func (e event) who() userInfo {
	if e.ImpersonatedUser != nil {
		return *e.ImpersonatedUser
	}
	return e.User
}

// use is the event as a use of break glass; false if it is none.
func (e event) use(query Query) (Use, bool) {
	who := e.who()
	switch {
	case e.ObjectRef == nil, !slices.Contains(who.Groups, query.Group), !covered(e.Verb, *e.ObjectRef):
		return Use{}, false
	case query.Namespace != "" && e.ObjectRef.Namespace != query.Namespace:
		return Use{}, false
	case !query.Since.IsZero() && e.Received.Before(query.Since):
		return Use{}, false
	}
	found := Use{
		At: e.Received.UTC(), User: who.Username, Verb: e.Verb, Namespace: e.ObjectRef.Namespace, Object: e.ObjectRef.String(),
		DryRun: dryRun(e.RequestURI), Seen: seen(e.Annotations),
	}
	if e.ImpersonatedUser != nil {
		found.Impersonator = e.User.Username
	}
	if e.ResponseStatus != nil {
		found.Code = e.ResponseStatus.Code
	}
	return found, true
}

// String is the object as kubectl names it, with its subresource: pods/lis-0/exec, deployments.apps/lis.
func (r reference) String() string {
	kind := r.Resource
	if r.APIGroup != "" {
		kind += "." + r.APIGroup
	}
	parts := []string{kind}
	for _, part := range []string{r.Name, r.Subresource} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "/")
}

// seen says whether one of labguard's webhooks has answered. The API server puts the name of the webhook in front of the keys of its annotations.
func seen(annotations map[string]string) bool {
	for key := range annotations {
		webhook, what, _ := strings.Cut(key, "/")
		if what == "decision" && strings.HasSuffix(webhook, ".labguard.dev") {
			return true
		}
	}
	return false
}

func dryRun(requestURI string) bool {
	parsed, err := url.ParseRequestURI(requestURI)
	return err == nil && parsed.Query().Has("dryRun")
}
