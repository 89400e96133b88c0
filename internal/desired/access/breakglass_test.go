// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package access_test

import (
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/access"
)

// used is a use of break glass, changed, as the API server gives it to a policy.
func used(t *testing.T, change ...func(*v1alpha1.BreakGlassUse)) runtime.Object {
	t.Helper()
	at := metav1.NewTime(time.Date(2026, time.November, 26, 3, 0, 0, 0, time.UTC))
	use := &v1alpha1.BreakGlassUse{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "BreakGlassUse"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "pathology", Name: "sealed-1", Labels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}},
		Spec: v1alpha1.BreakGlassUseSpec{
			User: "sealed", First: at, Last: at, Count: 1, Requests: []v1alpha1.BreakGlassRequest{{At: at, Operation: "CONNECT", Resource: "pods/exec", Name: "lis-0"}},
		},
	}
	for _, one := range change {
		one(use)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(use)
	if err != nil {
		t.Fatal(err)
	}
	return &unstructured.Unstructured{Object: content}
}

func acknowledged(by string) func(*v1alpha1.BreakGlassUse) {
	return func(use *v1alpha1.BreakGlassUse) {
		use.Spec.Acknowledgement = &v1alpha1.BreakGlassAcknowledgement{By: by, Reason: "the analyzer was stuck"}
	}
}

func TestOnlyTheAcknowledgementOfAnEmergencyIsWrittenByPeople(t *testing.T) {
	guard := compiled(t, access.BreakGlass(full()))
	anna := authenticationv1.UserInfo{Username: "anna", Groups: []string{"lab"}, Extra: said("labguard.dev/amr", "mfa")}
	as := func(change func(*authenticationv1.UserInfo)) authenticationv1.UserInfo {
		who := anna
		change(&who)
		return who
	}
	open, closed := used(t), used(t, acknowledged("anna"))
	changed := func(change func(*v1alpha1.BreakGlassUse)) runtime.Object {
		return used(t, acknowledged("anna"), change)
	}
	for name, c := range map[string]struct {
		who         authenticationv1.UserInfo
		operation   admissionv1.Operation
		object, old runtime.Object
		without     bool // the right to acknowledge
		refused     string
	}{
		"an acknowledgement in one's own name":           {who: anna, object: closed, old: open},
		"without the right":                              {who: anna, object: closed, old: open, without: true, refused: "the verb acknowledge"},
		"in the name of somebody else":                   {who: anna, object: used(t, acknowledged("berta")), old: open, refused: "acknowledgement.by"},
		"of one's own emergency":                         {who: as(func(u *authenticationv1.UserInfo) { u.Username = "sealed" }), object: used(t, acknowledged("sealed")), old: open, refused: "by somebody else"},
		"by a member of the group":                       {who: as(func(u *authenticationv1.UserInfo) { u.Groups = []string{"site:emergency"} }), object: closed, old: open, refused: "by somebody else"},
		"without a login":                                {who: as(func(u *authenticationv1.UserInfo) { u.Extra = nil }), object: closed, old: open, refused: "a person acknowledges"},
		"with a login that says nothing":                 {who: as(func(u *authenticationv1.UserInfo) { u.Extra = said("labguard.dev/amr", "") }), object: closed, old: open, refused: "a person acknowledges"},
		"by a ServiceAccount that shows claims":          {who: as(func(u *authenticationv1.UserInfo) { u.Username = "system:serviceaccount:gitops:argo" }), object: used(t, acknowledged("system:serviceaccount:gitops:argo")), old: open, refused: "a person acknowledges"},
		"another user":                                   {who: anna, object: changed(func(u *v1alpha1.BreakGlassUse) { u.Spec.User = "berta" }), old: open, refused: "only the acknowledgement"},
		"another count":                                  {who: anna, object: changed(func(u *v1alpha1.BreakGlassUse) { u.Spec.Count = 9 }), old: open, refused: "only the acknowledgement"},
		"another time":                                   {who: anna, object: changed(func(u *v1alpha1.BreakGlassUse) { u.Spec.Last = metav1.Now() }), old: open, refused: "only the acknowledgement"},
		"another beginning":                              {who: anna, object: changed(func(u *v1alpha1.BreakGlassUse) { u.Spec.First = metav1.Now() }), old: open, refused: "only the acknowledgement"},
		"no requests":                                    {who: anna, object: changed(func(u *v1alpha1.BreakGlassUse) { u.Spec.Requests = nil }), old: open, refused: "only the acknowledgement"},
		"without the label by which labguard knows it":   {who: anna, object: changed(func(u *v1alpha1.BreakGlassUse) { u.Labels = nil }), old: open, refused: "only the acknowledgement"},
		"with a finalizer":                               {who: anna, object: changed(func(u *v1alpha1.BreakGlassUse) { u.Finalizers = []string{"x/y"} }), old: open, refused: "only the acknowledgement"},
		"with an owner that is gone":                     {who: anna, object: changed(func(u *v1alpha1.BreakGlassUse) { u.OwnerReferences = []metav1.OwnerReference{{Name: "x"}} }), old: open, refused: "only the acknowledgement"},
		"an acknowledgement instead of another":          {who: as(func(u *authenticationv1.UserInfo) { u.Username = "berta" }), object: used(t, acknowledged("berta")), old: closed, refused: "stays as it was written"},
		"an acknowledgement taken back":                  {who: anna, object: open, old: closed, refused: "stays as it was written"},
		"nothing":                                        {who: anna, object: open, old: open},
		"a record of one's own making":                   {who: anna, operation: admissionv1.Create, object: closed, refused: "labguard alone records"},
		"a record taken away":                            {who: anna, operation: admissionv1.Delete, old: open, refused: "labguard alone records"},
		"a record taken away by whoever is in the group": {who: as(func(u *authenticationv1.UserInfo) { u.Groups = []string{"site:emergency"} }), operation: admissionv1.Delete, old: open, refused: "labguard alone records"},
		"a record by labguard":                           {who: authenticationv1.UserInfo{Username: full().LabguardUser}, operation: admissionv1.Create, object: open},
		"a count by labguard":                            {who: authenticationv1.UserInfo{Username: full().LabguardUser}, object: used(t, func(u *v1alpha1.BreakGlassUse) { u.Spec.Count = 2 }), old: open},
		"the end of the namespace":                       {who: authenticationv1.UserInfo{Username: "system:serviceaccount:kube-system:namespace-controller"}, operation: admissionv1.Delete, old: open},
		"the garbage collector":                          {who: authenticationv1.UserInfo{Username: "system:serviceaccount:kube-system:generic-garbage-collector"}, operation: admissionv1.Delete, old: open},
	} {
		t.Run(name, func(t *testing.T) {
			if c.operation == "" {
				c.operation = admissionv1.Update
			}
			request := admissionv1.AdmissionRequest{UserInfo: c.who, Operation: c.operation, Namespace: "pathology", Name: "sealed-1"}
			got := strings.Join(guard.refusals(t, request, may(!c.without), c.object, c.old), "\n")
			if (got == "") != (c.refused == "") || !strings.Contains(got, c.refused) {
				t.Errorf("refused: %q; want %q", got, c.refused)
			}
		})
	}
}
