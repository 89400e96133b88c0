// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/labguard/labguard/internal/testutil/provider"
)

// whoAmI is what the API server says of the user of config.
func whoAmI(ctx context.Context, config *rest.Config) (authenticationv1.UserInfo, error) {
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	review, err := client.AuthenticationV1().SelfSubjectReviews().Create(ctx, &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		return authenticationv1.UserInfo{}, err
	}
	return review.Status.UserInfo, nil
}

func TestTokensOfAProviderAreTakenWhileItIsConfigured(t *testing.T) {
	p, other := provider.New(t), provider.New(t)
	login := provider.Login{User: "alice", Methods: []string{"pwd", "otp"}, Context: "loa2", Groups: []string{"lab"}, Ago: time.Hour}
	token := p.LoginAs(t, login).ID
	if user, err := whoAmI(t.Context(), TokenConfig(token)); !apierrors.IsUnauthorized(err) {
		t.Errorf("before the provider is configured: %+v, %v", user, err)
	}
	t.Run("configured", func(t *testing.T) {
		Authenticate(t, provider.Configuration(p))
		user, err := whoAmI(t.Context(), TokenConfig(token))
		if err != nil {
			t.Fatal(err)
		}
		if user.Username != "oidc:alice" || len(user.Extra["labguard.dev/amr"]) != 2 || user.Extra["labguard.dev/issuer"][0] != p.Issuer() {
			t.Errorf("alice is %+v", user)
		}
		if user, err := whoAmI(t.Context(), TokenConfig(other.Login(t, "alice", "pwd", "otp"))); !apierrors.IsUnauthorized(err) {
			t.Errorf("with a token of another provider: %+v, %v", user, err)
		}
		p.Stop()
		if user, err := whoAmI(t.Context(), TokenConfig(token)); err != nil || user.Username != "oidc:alice" {
			t.Errorf("while the provider is down: %+v, %v", user, err)
		}
		p.Start()
		// What was there before the configuration goes on.
		if user, err := whoAmI(t.Context(), Config()); err != nil || user.Username != "devcluster-admin" {
			t.Errorf("the administrator's certificate: %+v, %v", user, err)
		}
		if user, err := whoAmI(t.Context(), ServiceAccountConfig(t, Namespace(t), "default")); err != nil || user.Extra["labguard.dev/amr"] != nil {
			t.Errorf("a service account: %+v, %v", user, err)
		}
		anonymous := rest.AnonymousClientConfig(Config())
		client, err := kubernetes.NewForConfig(anonymous)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.Discovery().ServerVersion(); err != nil {
			t.Errorf("the version, which everybody may know: %v", err)
		}
	})
	// The API server remembers for ten seconds whose a token is.
	eventually(t, "the token is refused after the configuration is gone", func(ctx context.Context) (bool, error) {
		_, err := whoAmI(ctx, TokenConfig(token))
		return apierrors.IsUnauthorized(err), nil
	})
}

func TestCertificatesNameUsersAndGroups(t *testing.T) {
	config := CertificateConfig(t, "oncall", "labguard:break-glass", "lab")
	user, err := whoAmI(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	if user.Username != "oncall" || !slices.Contains(user.Groups, "labguard:break-glass") || !slices.Contains(user.Groups, "lab") {
		t.Errorf("got %+v", user)
	}
	// What is asked for by break glass is found in the audit log afterwards, also what is refused.
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	namespace := Namespace(t)
	if _, err := client.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("got %v, want the refusal of somebody without rights", err)
	}
	content, err := os.ReadFile(AuditLog())
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, `"username":"oncall"`) && strings.Contains(line, `"resource":"secrets"`) && strings.Contains(line, namespace) {
			return
		}
	}
	t.Error("the audit log does not have the request")
}
