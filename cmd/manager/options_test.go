// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parsed(t *testing.T, arguments ...string) *options {
	t.Helper()
	options := defaultOptions()
	flags := flag.NewFlagSet("manager", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	options.bind(flags)
	if err := flags.Parse(arguments); err != nil {
		t.Fatal(err)
	}
	return options
}

func TestFlagsThatAreRight(t *testing.T) {
	tests := map[string]struct {
		arguments []string
		names     []string
	}{
		"none":                       {nil, []string{"labguard-webhook.labguard-system.svc", "labguard-webhook.labguard-system"}},
		"another namespace":          {[]string{"--namespace=security"}, []string{"labguard-webhook.security.svc", "labguard-webhook.security"}},
		"a URL":                      {[]string{"--webhook-url=https://localhost:9443"}, []string{"localhost"}},
		"a URL with a slash":         {[]string{"--webhook-url=https://labguard.lab.example:9443/"}, []string{"labguard.lab.example"}},
		"a URL on the standard port": {[]string{"--webhook-url=https://labguard.lab.example"}, []string{"labguard.lab.example"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			options := parsed(t, test.arguments...)
			if err := options.validate(); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(test.names, options.webhookNames()); diff != "" {
				t.Errorf("names in the certificate (-want +got):\n%s", diff)
			}
		})
	}
}

func TestFlagsThatAreWrongSayWhatWouldBeRight(t *testing.T) {
	tests := map[string]struct{ argument, want string }{
		"plain http":              {"--webhook-url=http://localhost:9443", "write https"},
		"no scheme":               {"--webhook-url=localhost:9443", "write https"},
		"no host":                 {"--webhook-url=https://:9443", "write https"},
		"a path":                  {"--webhook-url=https://localhost:9443/mutate", "write https"},
		"a user":                  {"--webhook-url=https://jane@localhost:9443", "write https"},
		"a query":                 {"--webhook-url=https://localhost:9443?a=b", "write https"},
		"an empty query":          {"--webhook-url=https://localhost:9443?", "write https"},
		"a fragment":              {"--webhook-url=https://localhost:9443#a", "write https"},
		"a control character":     {"--webhook-url=https://local\x01host", "write https"},
		"an address":              {"--webhook-url=https://127.0.0.1:9443", "the name of the host"},
		"an address of version 6": {"--webhook-url=https://[::1]:9443", "the name of the host"},
		"no namespace":            {"--namespace=", "must not be empty"},
		"no user":                 {"--user=", "must not be empty"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if err := parsed(t, test.argument).validate(); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

func TestOneErrandAtATime(t *testing.T) {
	errands := []string{"--release-holds", "--take-down", "--self-test"}
	for i, one := range errands {
		if options := parsed(t, one); options.validate() != nil || !options.isErrand() {
			t.Errorf("%s alone: %v, an errand: %t", one, options.validate(), options.isErrand())
		}
		if err := parsed(t, one, errands[(i+1)%len(errands)]).validate(); err == nil || !strings.Contains(err.Error(), "give one of") {
			t.Errorf("%s and another: %v", one, err)
		}
	}
	if parsed(t).isErrand() {
		t.Error("without flags the operator does not run")
	}
}
