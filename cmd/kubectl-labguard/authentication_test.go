// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/desired/authentication"
	"github.com/labguard/labguard/internal/testutil/pki"
)

const labLogin = `apiVersion: labguard.dev/v1alpha1
kind: IdentityProvider
metadata: {name: lab-login}
spec:
  issuer: https://login.lab.example/realms/lab
  proves: [Methods, AuthTime]
`

func TestTheFileForTheAPIServerIsMadeOfAnIdentityProvider(t *testing.T) {
	out, errOut, err := command(t, labLogin, "authentication", "-f", "-", "--audience", "kubernetes")
	if err != nil || errOut != "" {
		t.Fatal(err, errOut)
	}
	want := `apiVersion: apiserver.config.k8s.io/v1
jwt:
- claimMappings:
    extra:
    - key: labguard.dev/issuer
      valueExpression: |-
        has(claims.iss) && type(claims.iss) == string ? claims.iss
          : ""
    - key: labguard.dev/subject
      valueExpression: |-
        has(claims.sub) && type(claims.sub) == string ? claims.sub
          : ""
    - key: labguard.dev/amr
      valueExpression: |-
        has(claims.amr) && type(claims.amr) == list ? dyn(claims.amr).filter(value, type(value) == string)
          : has(claims.amr) && type(claims.amr) == string ? [claims.amr]
          : []
    - key: labguard.dev/auth-time
      valueExpression: |-
        has(claims.auth_time) && type(claims.auth_time) == double && claims.auth_time >= 0.0 && claims.auth_time <= 253402300799.0 ? string(int(claims.auth_time))
          : has(claims.auth_time) && type(claims.auth_time) == string ? claims.auth_time
          : ""
    username:
      expression: '"https://login.lab.example/realms/lab#" + claims.sub'
  issuer:
    audiences:
    - kubernetes
    url: https://login.lab.example/realms/lab
  userValidationRules:
  - expression: '!user.username.startsWith(''system:'')'
    message: 'user names that begin with system: are for Kubernetes itself'
  - expression: user.groups.all(group, !group.startsWith('system:') && !group.startsWith('labguard:'))
    message: 'groups that begin with system: are for Kubernetes itself, those that
      begin with labguard: for emergencies: no provider says who is in them'
kind: AuthenticationConfiguration
`
	if out != want {
		t.Errorf("it prints\n%s", out)
	}
}

func TestTheCertificatesOfTheProviderAreInTheFile(t *testing.T) {
	authority := pki.NewAuthority(t, "lab")
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, authority.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _, err := command(t, labLogin, "authentication", "-f", "-", "--audience", "a", "--audience", "b", "--certificate-authority", file)
	if err != nil {
		t.Fatal(err)
	}
	var got authentication.Configuration
	if err := yaml.UnmarshalStrict([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	want := authentication.Issuer{
		URL: "https://login.lab.example/realms/lab", Audiences: []string{"a", "b"}, AudienceMatchPolicy: "MatchAny", CertificateAuthority: authority.Text(),
	}
	if diff := cmp.Diff(want, got.JWT[0].Issuer); diff != "" {
		t.Errorf("issuer (-want +got):\n%s", diff)
	}
}

func TestFilesThatNoProviderIsMadeOf(t *testing.T) {
	key := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(key, []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file, want string
		args       []string
	}{
		"another kind":                    {file: strings.Replace(labLogin, "IdentityProvider", "LabWorkload", 1), want: "- is no IdentityProvider of labguard.dev/v1alpha1 with an issuer"},
		"a field that does not exist":     {file: labLogin + "  issuerURL: x\n", want: `unknown field "issuerURL"`},
		"no YAML":                         {file: "\t", want: "read -: "},
		"nothing":                         {want: "- is no IdentityProvider of labguard.dev/v1alpha1 with an issuer"},
		"very much":                       {file: strings.Repeat("#", maxProviderFile+1), want: "- is larger than 1 MiB"},
		"certificates that are no such":   {file: labLogin, args: []string{"--certificate-authority", key}, want: "has no certificates in PEM"},
		"certificates that are not there": {file: labLogin, args: []string{"--certificate-authority", key + "2"}, want: "no such file or directory"},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := command(t, c.file, append([]string{"authentication", "-f", "-", "--audience", "a"}, c.args...)...)
			if err == nil || !strings.Contains(err.Error(), c.want) || out != "" {
				t.Errorf("it says %v and prints %q", err, out)
			}
		})
	}
}
