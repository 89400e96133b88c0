// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired/injection"
	"github.com/labguard/labguard/internal/testutil/tenancy"
)

// salted ends the names of the Secrets of sidecars.
const salted = "-identity-0123abcd"

// stolen is the Secret of the sidecar of lis, temporary the one that cert-manager makes while it issues.
const (
	stolen    = "labguard-lis" + salted
	temporary = "labguard-lis-identity-x7k2p"
)

func source(volume corev1.VolumeSource) func(*corev1.Pod) {
	return func(pod *corev1.Pod) { pod.Spec.Volumes = []corev1.Volume{{Name: "keys", VolumeSource: volume}} }
}

// references are the ways in which a pod can get at a Secret or a ConfigMap.
var references = map[string]func(*corev1.Pod){
	"a Secret as volume":    source(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: stolen}}),
	"a ConfigMap as volume": source(corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "labguard-lis"}}}),
	"a projected Secret": source(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{DownwardAPI: &corev1.DownwardAPIProjection{}}, {Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: stolen}}},
	}}}),
	"a projected ConfigMap": source(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "labguard-trust"}}},
	}}}),
	"a storage driver": source(corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{Driver: "csi.example", NodePublishSecretRef: &corev1.LocalObjectReference{Name: stolen}}}),
	"a share of Azure": source(corev1.VolumeSource{AzureFile: &corev1.AzureFileVolumeSource{SecretName: stolen, ShareName: "share"}}),
	"Ceph": source(corev1.VolumeSource{CephFS: &corev1.CephFSVolumeSource{
		Monitors: []string{"10.0.0.1"}, SecretRef: &corev1.LocalObjectReference{Name: stolen},
	}}),
	"Cinder": source(corev1.VolumeSource{Cinder: &corev1.CinderVolumeSource{VolumeID: "volume", SecretRef: &corev1.LocalObjectReference{Name: stolen}}}),
	"iSCSI": source(corev1.VolumeSource{ISCSI: &corev1.ISCSIVolumeSource{
		TargetPortal: "10.0.0.1", IQN: "iqn.2026-01.example:storage", SessionCHAPAuth: true, SecretRef: &corev1.LocalObjectReference{Name: stolen},
	}}),
	"a block device of Ceph": source(corev1.VolumeSource{RBD: &corev1.RBDVolumeSource{
		CephMonitors: []string{"10.0.0.1"}, RBDImage: "image", SecretRef: &corev1.LocalObjectReference{Name: stolen},
	}}),
	"ScaleIO": source(corev1.VolumeSource{ScaleIO: &corev1.ScaleIOVolumeSource{
		Gateway: "https://10.0.0.1", System: "system", VolumeName: "volume", SecretRef: &corev1.LocalObjectReference{Name: stolen},
	}}),
	"StorageOS":     source(corev1.VolumeSource{StorageOS: &corev1.StorageOSVolumeSource{VolumeName: "volume", SecretRef: &corev1.LocalObjectReference{Name: stolen}}}),
	"a flex volume": source(corev1.VolumeSource{FlexVolume: &corev1.FlexVolumeSource{Driver: "x/flex", SecretRef: &corev1.LocalObjectReference{Name: stolen}}}),
	"an environment variable": func(pod *corev1.Pod) {
		pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: stolen}, Key: "tls.key",
		}}}}
	},
	"an environment variable of an init container": func(pod *corev1.Pod) {
		pod.Spec.InitContainers = []corev1.Container{{Name: "init", Image: appImage, Env: []corev1.EnvVar{{
			Name: "CONFIG", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "labguard-lis"}, Key: "airlock.json",
			}},
		}}}}
	},
	"all of a Secret as environment": func(pod *corev1.Pod) {
		pod.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: stolen}}}}
	},
	"all of a ConfigMap as environment": func(pod *corev1.Pod) {
		pod.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{
			ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "labguard-lis"}},
		}}
	},
	"a pull secret": func(pod *corev1.Pod) { pod.Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: stolen}} },
	"the volume of the sidecar, without the sidecar": func(pod *corev1.Pod) {
		pod.Spec.Volumes = []corev1.Volume{airlockVolume("lis")}
		pod.Spec.Containers[0].Name = "airlock"
	},
	"the volume of the sidecar and a sidecar, without the label": func(pod *corev1.Pod) {
		pod.Spec.Volumes = []corev1.Volume{airlockVolume("lis")}
		pod.Spec.InitContainers = []corev1.Container{{Name: "airlock", Image: appImage}}
	},
	"a Secret that cert-manager makes while it issues": source(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
		{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: temporary}}},
	}}}),
	"a name that is made up": func(pod *corev1.Pod) {
		pod.Name, pod.GenerateName = "", "thief-"
		source(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: stolen}})(pod)
	},
}

// disguised gives a pod the label of a workload that does not exist, which no profile speaks for, and a sidecar of its own. Its volume is called as the real one is.
func disguised(pod *corev1.Pod) {
	always := corev1.ContainerRestartPolicyAlways
	pod.Labels[v1alpha1.WorkloadLabel] = "nobody"
	for i := range pod.Spec.Volumes {
		pod.Spec.Volumes[i].Name = config.VolumeName
	}
	for i := range pod.Spec.InitContainers {
		pod.Spec.InitContainers[i].Name = "second"
	}
	pod.Spec.Containers[0].Name = "app"
	pod.Spec.InitContainers = append([]corev1.Container{{Name: config.ContainerName, Image: "registry.example/evil", RestartPolicy: &always}}, pod.Spec.InitContainers...)
}

// refusedByGuards fails the test unless one of the policies that keep keys has refused a disguised pod; where there is no profile, nothing may carry the label.
func (l lab) refusedByGuards(err error) {
	l.Helper()
	for _, guard := range []string{injection.ReadersName, injection.BackstopName, injection.ClaimsName, injection.LiveName} {
		if l.by(err, guard) {
			return
		}
	}
	l.Errorf("not refused by a guard: %v", err)
}

func (l lab) attackReferences() {
	for name, change := range references {
		if name == "a projected ConfigMap" {
			continue // of a workload that does not exist, in the volume of the sidecar: the ConfigMaps have public roots and addresses, and no key
		}
		l.Run(name+", disguised", func(t *testing.T) {
			l := l.in(t)
			_, err := l.create(l.pod("thief", "other", change, disguised))
			l.refusedByGuards(err)
		})
	}
	for name, change := range references {
		l.Run(name, func(t *testing.T) {
			l := l.in(t)
			_, err := l.create(l.pod("thief", "other", change))
			if l.by(err, injection.BackstopName) { // both refuse what projects the Secret of a profile, and the API server names one of them
				l.refused(err, injection.BackstopName, "reads the Secret")
				return
			}
			l.refused(err, injection.ReadersName, "no pod may use them")
		})
	}
}

func TestNoPodGetsAtTheSecretsOfASidecar(t *testing.T) {
	l := newLab(t)
	l.govern()
	profile := l.profile("lis")
	l.declare(profile)
	live, err := l.create(l.pod("lis-0", "lis"))
	l.Must(err)
	l.attackReferences()
	t.Run("a pod that a profile selects", func(t *testing.T) {
		for name, change := range references {
			_, err := l.in(t).create(l.pod("thief", "lis", change))
			if name == "the volume of the sidecar, without the sidecar" {
				if !apierrors.IsInvalid(err) { // two containers are called airlock
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if name == "the volume of the sidecar and a sidecar, without the label" {
				if err != nil { // replaced
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			l.in(t).refused(err, injection.ReadersName, "no pod may use them")
		}
	})
	t.Run("a debug container", func(t *testing.T) {
		l := l.in(t)
		l.refused(l.patch(l.Tenant, live, types.StrategicMergePatchType,
			`{"spec":{"ephemeralContainers":[{"name":"debug","image":"debug","envFrom":[{"secretRef":{"name":"`+stolen+`"}}]}]}}`, "ephemeralcontainers"),
			injection.ReadersName, "no pod may use them")
	})
	t.Run("other Secrets are for everybody", func(t *testing.T) {
		l := l.in(t)
		_, err := l.dryRun(t.Context(), l.pod("app", "other", source(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "lis-labguard-"}}))) //nolint:gosec // a name
		l.Passes(err)
		_, err = l.dryRun(t.Context(), l.pod("app", "other", source(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}})))
		l.Passes(err)
	})
	l.withdraw(profile)
	t.Run("the profile is deleted", func(t *testing.T) { l.in(t).attackReferences() })
}

// ours are objects with names of labguard's, and one that carries its label.
func (l lab) ours() map[string]client.Object {
	meta := metav1.ObjectMeta{Namespace: l.Namespace, Name: "labguard-lis"}
	companion := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "lis-mtls", Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 2575}}, Selector: map[string]string{v1alpha1.WorkloadLabel: "lis"}},
	}
	service := companion.DeepCopy()
	service.ObjectMeta = meta
	return map[string]client.Object{
		"Secret": &corev1.Secret{ObjectMeta: meta}, "ConfigMap": &corev1.ConfigMap{ObjectMeta: meta}, "Service": service, "companion Service": companion,
		"NetworkPolicy": &networkingv1.NetworkPolicy{ObjectMeta: meta}, "Certificate": l.certificate("Certificate", "labguard-lis", "Issuer", "mine"),
		"CertificateRequest": l.certificate("CertificateRequest", "labguard-lis-9", "Issuer", "mine"),
	}
}

func TestNobodyWritesWhatIsLabguards(t *testing.T) {
	l := newLab(t)
	l.govern()
	for _, resource := range []string{"certificates", "certificaterequests"} {
		l.Allow(l.Tenant, "cert-manager.io", resource, "create", "patch", "delete", "deletecollection")
	}
	tenant := l.client(l.Tenant)
	note := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"annotations":{"note":"changed"}}}`))
	for name, object := range l.ours() {
		t.Run(name, func(t *testing.T) {
			l := l.in(t)
			forged, ok := object.DeepCopyObject().(client.Object)
			if !ok {
				t.Fatal("no object")
			}
			l.refused(l.write(l.Tenant, forged), injection.ReservedName, "labguard's own")
			l.Must(l.write(tenancy.Labguard, object))
			l.refused(tenant.Patch(t.Context(), object, note), injection.ReservedName, "labguard's own")
			l.refused(tenant.Delete(t.Context(), object), injection.ReservedName, "labguard's own")
			unlabel := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":null}}`))
			l.refused(tenant.Patch(t.Context(), object, unlabel), injection.ReservedName, "labguard's own")
			l.Passes(l.client(tenancy.Labguard).Delete(t.Context(), object))
		})
	}
	t.Run("a service account of the namespace is a tenant", func(t *testing.T) {
		l := l.in(t)
		account := "system:serviceaccount:" + l.Namespace + ":default"
		l.Bind("edit", account)
		l.refused(l.write(account, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "labguard-lis"}}), injection.ReservedName, "labguard's own")
	})
	t.Run("cert-manager writes Secrets and requests, and no Certificates", func(t *testing.T) {
		l := l.in(t)
		l.Passes(l.write(certManagerUser, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, GenerateName: "labguard-lis-"}}))
		l.refused(l.write(certManagerUser, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "labguard-lis"}}), injection.ReservedName, "labguard's own")
		l.refused(l.write(certManagerUser, l.certificate("Certificate", "labguard-lis", "Issuer", "mine")), injection.ReservedName, "labguard's own")
	})
	t.Run("a Certificate that writes to labguard's Secret", func(t *testing.T) {
		l := l.in(t)
		certificate := l.certificate("Certificate", "mine", "Issuer", "mine")
		if spec, ok := certificate.Object["spec"].(map[string]any); ok {
			spec["secretName"] = stolen
		}
		l.refused(l.write(l.Tenant, certificate), injection.ReservedName, "choose another secretName")
	})
	t.Run("an Ingress that serves labguard's Secret", func(t *testing.T) {
		l := l.in(t)
		l.refused(l.write(l.Tenant, &networkingv1.Ingress{
			ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "thief"},
			Spec: networkingv1.IngressSpec{
				DefaultBackend: &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "x", Port: networkingv1.ServiceBackendPort{Number: 80}}},
				TLS:            []networkingv1.IngressTLS{{SecretName: stolen}},
			},
		}), injection.ReservedName, "no Ingress")
	})
	t.Run("addresses of a companion Service", func(t *testing.T) {
		l := l.in(t)
		slice := &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Namespace: l.Namespace, Name: "thief", Labels: map[string]string{discoveryv1.LabelServiceName: "lis-mtls"}},
			AddressType: discoveryv1.AddressTypeIPv4,
		}
		l.refused(l.write("", slice.DeepCopy()), injection.ReservedName, "nobody adds addresses")
		l.Passes(l.write("system:serviceaccount:kube-system:endpointslice-controller", slice))
	})
	t.Run("profiles", func(t *testing.T) {
		l := l.in(t)
		l.refused(l.write("", l.profile("mine")), injection.ProfilesName, "labguard alone")
		if err := l.write(l.Tenant, l.profile("mine")); !apierrors.IsForbidden(err) {
			t.Errorf("a tenant writes a profile: %v", err)
		}
	})
	t.Run("trust bundles", func(t *testing.T) {
		l := l.in(t)
		if err := l.write(l.Tenant, bundle()); !apierrors.IsForbidden(err) {
			t.Errorf("a tenant writes a bundle: %v", err)
		}
		l.refused(l.write(l.Tenant, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: injection.TrustConfigMap}}),
			injection.ReservedName, "labguard's own")
	})
}

// What is everybody's own goes on, that of a whole collection too.
func TestTheRestOfTheNamespaceIsTheTenants(t *testing.T) {
	l := newLab(t)
	l.govern()
	tenant := l.client(l.Tenant)
	for name, object := range map[string]client.Object{
		"Secrets": &corev1.Secret{}, "ConfigMaps": &corev1.ConfigMap{}, "NetworkPolicies": &networkingv1.NetworkPolicy{}, "Pods": l.pod("", "other"),
	} {
		t.Run(name, func(t *testing.T) {
			l := l.in(t)
			object.SetNamespace(l.Namespace)
			object.SetName("mine")
			l.Must(l.write(l.Tenant, object))
			l.Passes(tenant.DeleteAllOf(t.Context(), object, client.InNamespace(l.Namespace)))
			l.Eventually("it is gone", func(ctx ctx) (bool, error) {
				err := l.client("").Get(ctx, client.ObjectKeyFromObject(object), object)
				return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
			})
		})
	}
	t.Run("labguard's stay in a collection", func(t *testing.T) {
		l := l.in(t)
		ours := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: l.Namespace, Name: "labguard-lis"}}
		l.Must(l.write(tenancy.Labguard, ours))
		l.refused(tenant.DeleteAllOf(t.Context(), &corev1.ConfigMap{}, client.InNamespace(l.Namespace)), injection.ReservedName, "labguard's own")
		l.Passes(l.client("").Get(t.Context(), client.ObjectKeyFromObject(ours), ours))
	})
}
