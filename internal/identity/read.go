// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package identity

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/labguard/labguard/internal/posture/access"
)

// Facts are what is known of a user.
type Facts = access.Person

const (
	// maxValue is the length in bytes of a value that is read at all.
	maxValue = 256
	// maxMethods is how many methods are read; of more none is.
	maxMethods = 64
	// maxAhead is how far in the future a login may seem to be.
	maxAhead = 5 * time.Minute
)

// earliest is a time before which nobody has logged in anywhere: a login of 1970 is a claim that was not there.
var earliest = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

// Recognise reads the facts about a user whose issuer may be any of several with keys of their own: those count under which the issuer that has these
// very keys is named. Where none is, or more than one, the issuer stays empty.
func Recognise(user authenticationv1.UserInfo, sources []Source, now time.Time) Facts {
	var found *Keys
	ambiguous := false
	for _, source := range sources {
		keys := source.Keys.withDefaults()
		values := user.Extra[keys.Issuer]
		if len(values) != 1 || values[0] != source.Issuer || source.Issuer == "" {
			continue
		}
		ambiguous = ambiguous || found != nil && *found != keys
		found = &keys
	}
	if found != nil && !ambiguous {
		return Read(user, *found, now)
	}
	facts := nameOf(user)
	for _, keys := range distinct(sources) {
		facts.Claims = facts.Claims || claims(user.Extra, keys)
	}
	if ambiguous {
		facts.Problems = append(facts.Problems, "the claims name several issuers that have different keys")
	}
	if facts.Claims && !ambiguous {
		facts.Problems = append(facts.Problems, "the claims name no issuer that is configured")
	}
	return facts
}

// Read reads the facts about a user, with the claims under the keys of one issuer.
func Read(user authenticationv1.UserInfo, keys Keys, now time.Time) Facts {
	keys = keys.withDefaults()
	facts := nameOf(user)
	facts.Claims = claims(user.Extra, keys)
	reader := reader{extra: user.Extra}
	facts.Issuer = reader.one(keys.Issuer, readable)
	facts.Subject = reader.one(keys.Subject, readable)
	facts.Methods = reader.methods(keys.Methods)
	facts.Context = reader.one(keys.Context, readable)
	facts.AuthTime = reader.time(keys.AuthTime, now)
	facts.Problems = append(facts.Problems, reader.problems...)
	return facts
}

func claims(extra map[string]authenticationv1.ExtraValue, keys Keys) bool {
	return slices.ContainsFunc(keys.all(), func(key string) bool {
		_, found := extra[key]
		return found
	})
}

// nameOf reads what sort of user it is. Only the API server gives names that begin with "system:", together with their groups; an issuer whose user names
// have no prefix could give such a name too, and impersonation gives the name with any groups.
func nameOf(user authenticationv1.UserInfo) Facts {
	facts := Facts{User: user.Username, Groups: user.Groups, Kind: access.KindPerson}
	if !strings.HasPrefix(user.Username, "system:") {
		return facts
	}
	facts.Kind = access.KindSystem
	if rest, found := strings.CutPrefix(user.Username, "system:serviceaccount:"); found {
		namespace, name, found := strings.Cut(rest, ":")
		if found && namespace != "" && name != "" && !strings.Contains(name, ":") {
			facts.Kind, facts.Namespace, facts.Name = access.KindServiceAccount, namespace, name
			need(&facts, "system:serviceaccounts", "system:serviceaccounts:"+namespace)
		}
	}
	if name, found := strings.CutPrefix(user.Username, "system:node:"); found && name != "" {
		facts.Kind, facts.Name = access.KindNode, name
		need(&facts, "system:nodes")
	}
	return facts
}

// need notes that a group is missing which the API server gives to whoever has such a name.
func need(facts *Facts, groups ...string) {
	if slices.ContainsFunc(groups, func(group string) bool { return !slices.Contains(facts.Groups, group) }) {
		facts.Problems = append(facts.Problems, "the user name is one of a machine without the groups that go with it")
	}
}

// reader reads values and notes what is wrong with them, one line for each key.
type reader struct {
	extra    map[string]authenticationv1.ExtraValue
	problems []string
}

func (r *reader) problem(key, what string) {
	r.problems = append(r.problems, fmt.Sprintf("%s: %s", shown(key), what))
}

// one reads a key that has one value. An empty one is none: an expression of the API server's configuration gives it where a token has no such claim.
func (r *reader) one(key string, check func(string) string) string {
	values := r.extra[key]
	switch {
	case len(values) == 0 || len(values) == 1 && values[0] == "":
		return ""
	case len(values) > 1:
		r.problem(key, fmt.Sprintf("%d values where one is expected", len(values)))
		return ""
	}
	if wrong := check(values[0]); wrong != "" {
		r.problem(key, wrong+": "+glimpse(values[0]))
		return ""
	}
	return values[0]
}

func (r *reader) methods(key string) []string {
	values := r.extra[key]
	if len(values) > maxMethods {
		r.problem(key, fmt.Sprintf("%d values, of which none is read: more than %d are no list of methods", len(values), maxMethods))
		return nil
	}
	var methods []string
	wrong := 0
	for _, value := range values {
		switch {
		case value == "":
		case readable(value) != "":
			wrong++
		default:
			methods = append(methods, value)
		}
	}
	if wrong > 0 {
		r.problem(key, fmt.Sprintf("%d values cannot be read", wrong))
	}
	slices.Sort(methods)
	return slices.Compact(methods)
}

// time reads seconds since 1970, in digits alone: an expression that turns a double into text gives 1.7e+09, which says too little.
func (r *reader) time(key string, now time.Time) time.Time {
	text := r.one(key, digits)
	if text == "" {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		r.problem(key, "no number of seconds")
		return time.Time{}
	}
	switch {
	case seconds < earliest.Unix():
		r.problem(key, "before the year 2000")
	case seconds > now.Add(maxAhead).Unix():
		r.problem(key, "in the future")
	default:
		return time.Unix(seconds, 0).UTC()
	}
	return time.Time{}
}
