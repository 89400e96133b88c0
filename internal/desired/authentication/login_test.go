// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package authentication_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/authentication"
)

// keys verify what one key has signed, without a provider that would have to be reached.
type keys struct{ public crypto.PublicKey }

func (k keys) VerifySignature(_ context.Context, token string) ([]byte, error) {
	signed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	return signed.Verify(k.public)
}

// load reads a file as the API server does, and refuses what it would refuse.
func load(t *testing.T, file authentication.Configuration) *apiserver.AuthenticationConfiguration {
	t.Helper()
	text, err := yaml.Marshal(file)
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	install.Install(scheme)
	decoded, err := runtime.Decode(serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDecoder(), text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	configuration := decoded.(*apiserver.AuthenticationConfiguration)
	if faults := validation.ValidateAuthenticationConfiguration(cel.NewDefaultCompiler(), configuration, nil); len(faults) > 0 {
		t.Fatalf("%v\n%s", faults, text)
	}
	return configuration
}

// door is the API server's own authenticator for one provider.
type door struct {
	authenticator.Token
	issuer string
	signer jose.Signer
}

func open(t *testing.T, provider v1alpha1.IdentityProviderSpec) door {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	configuration := load(t, authentication.File(authentication.Client{Audiences: []string{"kubernetes"}}, provider))
	tokens, err := oidc.New(t.Context(), oidc.Options{
		JWTAuthenticator: configuration.JWT[0], KeySet: keys{private.Public()}, SupportedSigningAlgs: []string{string(jose.ES256)},
	})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: private}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return door{Token: tokens, issuer: provider.Issuer, signer: signer}
}

// login says whom the API server sees behind a token that has some more claims, which are JSON.
func (d door) login(t *testing.T, more string) (user.Info, error) {
	t.Helper()
	claims := map[string]json.RawMessage{}
	base, err := json.Marshal(map[string]any{"iss": d.issuer, "aud": "kubernetes", "sub": "00u1f7c2", "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{string(base), more} {
		if err := json.Unmarshal([]byte(text), &claims); err != nil {
			t.Fatalf("the test's own claims: %v\n%s", err, text)
		}
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := d.signer.Sign(payload)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	response, ok, err := d.AuthenticateToken(t.Context(), token)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		t.Fatal("the authenticator takes it for a token of somebody else")
	}
	return response.User, nil
}

// arrives is what has to be under the keys, beside issuer and subject.
type arrives map[string][]string

func TestWhatArrivesOfATokenWithTheAPIServersOwnAuthenticator(t *testing.T) {
	const amr, acr, authTime = "labguard.dev/amr", "labguard.dev/acr", "labguard.dev/auth-time"
	d := open(t, everything())
	for name, c := range map[string]struct {
		claims string
		want   arrives
	}{
		"all there is":                          {`{"amr": ["pwd", "otp"], "acr": "aal2", "auth_time": 1795651200}`, arrives{amr: {"pwd", "otp"}, acr: {"aal2"}, authTime: {"1795651200"}}},
		"nothing":                               {`{}`, arrives{}},
		"null":                                  {`{"amr": null, "acr": null, "auth_time": null}`, arrives{}},
		"empty values":                          {`{"amr": [], "acr": "", "auth_time": ""}`, arrives{}},
		"one method as a text":                  {`{"amr": "mfa"}`, arrives{amr: {"mfa"}}},
		"methods in one text stay one":          {`{"amr": "pwd mfa"}`, arrives{amr: {"pwd mfa"}}},
		"methods that are no texts":             {`{"amr": ["pwd", 1, null, ["mfa"], {"mfa": true}, true, "", "otp"]}`, arrives{amr: {"pwd", "otp"}}},
		"methods of which none is a text":       {`{"amr": [1, null]}`, arrives{}},
		"methods as an object":                  {`{"amr": {"mfa": "mfa"}}`, arrives{}},
		"methods as a number":                   {`{"amr": 1}`, arrives{}},
		"methods as a truth":                    {`{"amr": true}`, arrives{}},
		"a class that is a number":              {`{"acr": 1}`, arrives{}},
		"a class that is a list":                {`{"acr": ["aal2"]}`, arrives{}},
		"a class that is an object":             {`{"acr": {"values": ["aal2"]}}`, arrives{}},
		"a time with a fraction":                {`{"auth_time": 1795651200.9}`, arrives{authTime: {"1795651200"}}},
		"a time with an exponent":               {`{"auth_time": 1.7956512e9}`, arrives{authTime: {"1795651200"}}},
		"a time as a text":                      {`{"auth_time": "1795651200"}`, arrives{authTime: {"1795651200"}}},
		"a time before 1970":                    {`{"auth_time": -1}`, arrives{}},
		"a time that no integer holds":          {`{"auth_time": 1e300}`, arrives{}},
		"a time as a list":                      {`{"auth_time": [1795651200]}`, arrives{}},
		"a time as a truth":                     {`{"auth_time": true}`, arrives{}},
		"names with other letters are not ours": {`{"AMR": ["mfa"], "Acr": "x", "authTime": 1}`, arrives{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := d.login(t, c.claims)
			if err != nil {
				t.Fatalf("nobody gets in: %v", err)
			}
			c.want["labguard.dev/issuer"], c.want["labguard.dev/subject"] = []string{issuer}, []string{"00u1f7c2"}
			extra := arrives(got.GetExtra())
			if diff := cmp.Diff(c.want, extra); diff != "" {
				t.Errorf("extra (-want +got):\n%s", diff)
			}
			if want := issuer + "#00u1f7c2"; got.GetName() != want {
				t.Errorf("the user is %q, want %q", got.GetName(), want)
			}
		})
	}
}

func TestAProviderWithOtherNamesAndLessToProve(t *testing.T) {
	d := open(t, special())
	got, err := d.login(t, `{"https://it's/a.claim\\": "E-4711", "amr": ["mfa"], "acr": "aal2", "auth_time": 1795651200, "labguard.dev/amr": ["mfa"]}`)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{"idp.example/iss": {"https://other.example"}, "idp.example/who": {"E-4711"}, "idp.example/how": {"mfa"}}
	if diff := cmp.Diff(want, got.GetExtra()); diff != "" || got.GetName() != "https://other.example#E-4711" {
		t.Errorf("user %q, extra (-want +got):\n%s", got.GetName(), diff)
	}
}

func TestATokenWithoutASubjectThatIsATextIsNoLogin(t *testing.T) {
	d := open(t, special())
	for _, claims := range []string{`{}`, `{"https://it's/a.claim\\": 7}`, `{"https://it's/a.claim\\": null}`, `{"https://it's/a.claim\\": ["E-4711"]}`} {
		if got, err := d.login(t, claims); err == nil {
			t.Errorf("%s is the user %q", claims, got.GetName())
		}
	}
}

func TestAnAddressCountsOnlyIfTheProviderHasVerifiedIt(t *testing.T) {
	provider := everything()
	provider.SubjectClaim = "email"
	d := open(t, provider)
	for claims, fine := range map[string]bool{
		`{"email": "ann@lab.example", "email_verified": true}`:   true,
		`{"email": "ann@lab.example", "email_verified": false}`:  false,
		`{"email": "ann@lab.example", "email_verified": "true"}`: false,
		`{"email": "ann@lab.example"}`:                           false,
	} {
		got, err := d.login(t, claims)
		switch {
		case fine && err != nil:
			t.Errorf("%s: %v", claims, err)
		case !fine && (err == nil || !strings.Contains(err.Error(), "the provider does not say that the e-mail address is the person's own")):
			t.Errorf("%s gets in as %v, with %v", claims, got, err)
		}
	}
}

func TestTheAPIServerTakesFilesOfSeveralProviders(t *testing.T) {
	client := authentication.Client{Audiences: []string{"kubernetes", "kubelogin"}}
	if got := load(t, authentication.File(client, everything(), special())); len(got.JWT) != 2 {
		t.Errorf("%d providers", len(got.JWT))
	}
}
