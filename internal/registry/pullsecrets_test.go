// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// counting is a client that counts reads and may refuse them.
func counting(reads *int, refuse error, objects ...client.Object) client.Reader {
	return fake.NewClientBuilder().WithObjects(objects...).WithInterceptorFuncs(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, into client.Object, options ...client.GetOption) error {
			*reads++
			if refuse != nil {
				return refuse
			}
			return c.Get(ctx, key, into, options...)
		},
	}).Build()
}

func secretOf(name string, kind corev1.SecretType, key, content string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: name}, Type: kind, Data: map[string][]byte{key: []byte(content)},
	}
}

func TestPullSecretsOfBothKindsAreReadInOneForm(t *testing.T) {
	var reads int
	reader := NewPullSecrets(counting(&reads, nil,
		secretOf("new", corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, `{"auths":{"a":{}}}`),
		secretOf("old", corev1.SecretTypeDockercfg, corev1.DockerConfigKey, `{"a":{}}`),
		secretOf("broken", corev1.SecretTypeDockercfg, corev1.DockerConfigKey, `<`),
		secretOf("opaque", corev1.SecretTypeOpaque, corev1.DockerConfigJsonKey, `{"auths":{}}`),
	), fakeClock())
	for name, want := range map[string]string{"new": `{"auths":{"a":{}}}`, "old": `{"auths":{"a":{}}}`, "broken": "", "opaque": "", "absent": ""} {
		got, err := reader.PullSecret(t.Context(), "pathology", name)
		if err != nil || string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestPullSecretsAreRememberedForTenMinutesOrUntilForgotten(t *testing.T) {
	var reads int
	passive := fakeClock()
	account := &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "lis"}, ImagePullSecrets: []corev1.LocalObjectReference{{Name: "pull"}},
	}
	reader := NewPullSecrets(counting(&reads, nil, account, secretOf("pull", corev1.SecretTypeDockerConfigJson, corev1.DockerConfigJsonKey, "{}")), passive)
	read := func(want int) {
		t.Helper()
		names, err := reader.ServiceAccountPullSecrets(t.Context(), "pathology", "lis")
		if diff := cmp.Diff([]string{"pull"}, names); err != nil || diff != "" {
			t.Errorf("%v %s", err, diff)
		}
		if _, err := reader.PullSecret(t.Context(), "pathology", "pull"); err != nil {
			t.Error(err)
		}
		if _, err := reader.PullSecret(t.Context(), "pathology", "absent"); err != nil {
			t.Error(err)
		}
		if reads != want {
			t.Errorf("%d reads, want %d", reads, want)
		}
	}
	read(3)
	passive.Step(9 * time.Minute)
	read(3)
	passive.Step(time.Minute)
	read(6)
	reader.Forget("chemistry")
	read(6)
	reader.Forget("pathology")
	passive.Step(time.Second)
	read(9)
	read(9)
}

func TestAMissingRightIsToldFromAFailureAndNeitherIsRemembered(t *testing.T) {
	for name, test := range map[string]struct {
		refuse      error
		notReadable bool
	}{
		"forbidden": {refuse: apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "pull", nil), notReadable: true},
		"away":      {refuse: apierrors.NewServiceUnavailable("away")},
	} {
		t.Run(name, func(t *testing.T) {
			var reads int
			reader := NewPullSecrets(counting(&reads, test.refuse), fakeClock())
			for range 2 {
				_, err := reader.PullSecret(t.Context(), "pathology", "pull")
				if err == nil || errors.Is(err, ErrNotReadable) != test.notReadable {
					t.Errorf("secret: %v", err)
				}
				_, err = reader.ServiceAccountPullSecrets(t.Context(), "pathology", "lis")
				if err == nil || errors.Is(err, ErrNotReadable) != test.notReadable {
					t.Errorf("service account: %v", err)
				}
			}
			if reads != 4 {
				t.Errorf("%d reads, want 4", reads)
			}
		})
	}
}
