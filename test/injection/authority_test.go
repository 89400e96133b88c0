// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"testing"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// status gives part of a status to a Certificate.
func status(body string) client.Patch {
	return client.RawPatch(types.MergePatchType, []byte(`{"status":`+body+`}`))
}

func (l lab) issuer(spec map[string]any) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": map[string]any{"namespace": l.Namespace, "name": "mine"}, "spec": spec,
	}}
}

// What cert-manager's own roles give to whoever may edit a namespace: Secrets, Issuers and the status of Certificates.
func TestCertManagerGivesNoKeyAway(t *testing.T) {
	l := newLab(t)
	l.govern()
	for _, resource := range []string{"certificates", "certificates/status", "issuers"} {
		l.Allow(l.Tenant, "cert-manager.io", resource, "create", "update", "patch")
	}
	certificate := l.certificate("Certificate", "labguard-lis-identity", "Issuer", "mine")
	l.Must(l.write(tenancy.Labguard, certificate))
	t.Run("a key that is planted as the next one", func(t *testing.T) {
		l := l.in(t)
		planted := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: l.Namespace, Name: "mine", Labels: map[string]string{certmanagerv1.IsNextPrivateKeySecretLabelKey: "true"}, Finalizers: []string{"example.com/stays"},
			},
			Data: map[string][]byte{corev1.TLSPrivateKeyKey: []byte("mine")},
		}
		l.refused(l.write(l.Tenant, planted.DeepCopy()), injection.ReservedName, "next-private-key")
		planted.Labels, planted.Finalizers = nil, nil
		l.Must(l.write(l.Tenant, planted))
		label := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"`+certmanagerv1.IsNextPrivateKeySecretLabelKey+`":"true"}}}`))
		l.refused(l.client(l.Tenant).Patch(t.Context(), planted, label), injection.ReservedName, "next-private-key")
		l.Passes(l.client(certManagerUser).Patch(t.Context(), planted, label))
		l.Passes(l.client(l.Tenant).Delete(t.Context(), planted))
	})
	t.Run("a key that the status names", func(t *testing.T) {
		l := l.in(t)
		tenant := l.client(l.Tenant).Status()
		l.refused(tenant.Patch(t.Context(), certificate.DeepCopy(), status(`{"nextPrivateKeySecretName":"mine"}`)), injection.ReservedName, "the conditions alone")
		l.Passes(l.client(certManagerUser).Status().Patch(t.Context(), certificate.DeepCopy(), status(`{"nextPrivateKeySecretName":"labguard-lis-identity-x7k2p"}`)))
		l.refused(tenant.Patch(t.Context(), certificate.DeepCopy(), status(`{"nextPrivateKeySecretName":null}`)), injection.ReservedName, "the conditions alone")
		issuing := `{"conditions":[{"type":"Issuing","status":"True","reason":"ManuallyTriggered","message":"as cmctl renew does","lastTransitionTime":"2026-01-01T00:00:00Z"}]}`
		l.Passes(tenant.Patch(t.Context(), certificate.DeepCopy(), status(issuing)))
	})
	t.Run("an Issuer that sends the key to a server", func(t *testing.T) {
		l := l.in(t)
		reference := map[string]any{"name": stolen, "key": "tls.key"}
		vault := func(auth map[string]any) map[string]any {
			return map[string]any{"vault": map[string]any{"server": "https://vault.example", "path": "pki/sign/x", "auth": auth}}
		}
		for name, spec := range map[string]map[string]any{
			"app role":    vault(map[string]any{"appRole": map[string]any{"path": "approle", "roleId": "x", "secretRef": reference}}),
			"token":       vault(map[string]any{"tokenSecretRef": reference}),
			"kubernetes":  vault(map[string]any{"kubernetes": map[string]any{"role": "x", "secretRef": reference}}),
			"certificate": vault(map[string]any{"clientCertificate": map[string]any{"secretName": stolen}}),
			"authority":   {"ca": map[string]any{"secretName": stolen}},
			"dns": {"acme": map[string]any{
				"server": "https://acme.example", "privateKeySecretRef": map[string]any{"name": "mine"},
				"solvers": []any{map[string]any{"dns01": map[string]any{"cloudflare": map[string]any{"apiTokenSecretRef": reference}}}},
			}},
		} {
			t.Run(name, func(t *testing.T) {
				l.in(t).refused(l.write(l.Tenant, l.issuer(spec)), injection.ReservedName, "no Issuer may use them")
			})
		}
		l.Passes(l.write(l.Tenant, l.issuer(map[string]any{"ca": map[string]any{"secretName": "mine"}})))
		l.Passes(l.write(l.Tenant, func() *unstructured.Unstructured {
			own := l.issuer(map[string]any{"selfSigned": map[string]any{}})
			own.SetName("own")
			return own
		}()))
	})
	t.Run("an Ingress whose controller shows the certificate", func(t *testing.T) {
		l := l.in(t)
		ingress := &networkingv1.Ingress{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: l.Namespace, Name: "mine", Annotations: map[string]string{"nginx.ingress.kubernetes.io/proxy-ssl-secret": l.Namespace + "/" + stolen},
			},
			Spec: networkingv1.IngressSpec{
				DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "x", Port: networkingv1.ServiceBackendPort{Number: 80}}},
			},
		}
		l.refused(l.write(l.Tenant, ingress.DeepCopy()), injection.ReservedName, "no annotation may name one")
		ingress.Annotations = map[string]string{"note": "runs beside labguard-lis"}
		l.Passes(l.write(l.Tenant, ingress))
	})
	t.Run("pods of a control plane whose controllers are one user", func(t *testing.T) {
		l := l.in(t)
		pod := l.pod("thief", "other", source(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: stolen}}))
		l.Bind("edit", "system:kube-controller-manager")
		l.refused(l.write("system:kube-controller-manager", pod), injection.ReadersName, "no pod may use them")
	})
}
