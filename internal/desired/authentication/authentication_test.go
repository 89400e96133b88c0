// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package authentication_test

import (
	"testing"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/authentication"
	"github.com/labguard/labguard/internal/testutil/golden"
)

const issuer = "https://login.lab.example/realms/lab"

// everything is a provider that proves all there is.
func everything() v1alpha1.IdentityProviderSpec {
	return v1alpha1.IdentityProviderSpec{
		Issuer: issuer, SubjectClaim: "sub", Proves: []v1alpha1.ProvenClaim{v1alpha1.ProvesMethods, v1alpha1.ProvesContext, v1alpha1.ProvesAuthTime},
	}
}

// special is a provider that has a name of its own for all there is.
func special() v1alpha1.IdentityProviderSpec {
	return v1alpha1.IdentityProviderSpec{
		Issuer: "https://other.example", SubjectClaim: `https://it's/a.claim\`, Proves: []v1alpha1.ProvenClaim{v1alpha1.ProvesMethods},
		ClaimKeys: v1alpha1.ClaimKeys{Issuer: "idp.example/iss", Subject: "idp.example/who", Methods: "idp.example/how"},
	}
}

func TestFilesAreAsInTheGoldens(t *testing.T) {
	t.Parallel()
	client := authentication.Client{Audiences: []string{"kubernetes"}}
	byEmail := everything()
	byEmail.SubjectClaim, byEmail.Proves = "email", []v1alpha1.ProvenClaim{v1alpha1.ProvesAuthTime}
	for name, file := range map[string]authentication.Configuration{
		"everything": authentication.File(client, everything()),
		"email":      authentication.File(client, byEmail),
		"two": authentication.File(authentication.Client{
			Audiences: []string{"kubernetes", "kubelogin"}, CertificateAuthority: "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
		}, everything(), special()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden.YAML(t, name, file)
		})
	}
}
