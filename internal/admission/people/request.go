// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"cmp"
	"context"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture/access"
)

// Limits of a BreakGlassRequest and of the user of a BreakGlassUse.
const (
	maxUser      = 1024
	maxOperation = 16
	maxResource  = 128
	maxName      = 253
)

const (
	pods  = "pods"
	proxy = "proxy"
)

// classify says what sort of request it is. What no sort is about keeps an empty cover, which the decision refuses: somebody has given a webhook a rule
// that labguard does not know.
func classify(request *admission.Request) access.Request {
	return access.Request{
		Cover: cover(request), Operation: string(request.Operation), Resource: request.Resource.Resource, Subresource: request.SubResource,
		Namespace: request.Namespace, Name: request.Name, DryRun: dryRun(request),
	}
}

func cover(request *admission.Request) access.Cover {
	what := request.Resource.Resource + "/" + request.SubResource
	core := request.Resource.Group == ""
	switch request.Operation {
	case admissionv1.Connect:
		switch what {
		case "pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy":
			if core {
				return access.Access
			}
		}
	case admissionv1.Create, admissionv1.Update, admissionv1.Delete:
		switch {
		case request.SubResource == "" && request.Resource.Group == v1alpha1.GroupVersion.Group:
			return own(request.Resource.Resource)
		case request.SubResource == "":
			return access.Change // which kinds are asked about is the webhook's matter
		case core && what == "pods/ephemeralcontainers" && request.Operation == admissionv1.Update:
			return access.Access
		case core && what == "serviceaccounts/token" && request.Operation == admissionv1.Create:
			return access.Token
		}
	}
	return ""
}

// own is what a write of one of labguard's kinds is about.
func own(resource string) access.Cover {
	switch resource {
	case "identityproviders", "trainingrecords", "breakglassuses":
		return access.Platform
	default:
		return access.Posture
	}
}

// labels are those of the pod that Access is about, as the cache has them; nil where there is no one pod or it is not known, so that all requirements of
// the namespace count.
func (g *Gate) labels(ctx context.Context, request *access.Request) labels.Labels {
	if request.Cover != access.Access || request.Resource != pods || request.Name == "" {
		return nil
	}
	name := request.Name
	if request.Subresource == proxy { // [scheme:]name[:port], as the API server reads it
		_, plain, _, valid := utilnet.SplitSchemeNamePort(name)
		if !valid {
			return nil
		}
		name = plain
	}
	var pod corev1.Pod
	if err := g.reader.Get(ctx, client.ObjectKey{Namespace: request.Namespace, Name: name}, &pod, client.UnsafeDisableDeepCopy); err != nil {
		return nil
	}
	return labels.Set(pod.Labels)
}

func breakGlassRequest(request *admission.Request, now time.Time) v1alpha1.BreakGlassRequest {
	resource := strings.TrimSuffix(request.Resource.Resource+"/"+request.SubResource, "/")
	return v1alpha1.BreakGlassRequest{
		At: metav1.NewTime(now), Operation: cmp.Or(fitting(string(request.Operation), maxOperation), unnamed),
		Resource: cmp.Or(fitting(resource, maxResource), unnamed), Name: fitting(request.Name, maxName),
	}
}

// unnamed stands for what an API server always says.
const unnamed = "unknown"

// fitting cuts a text to what the API lets in, between two characters.
func fitting(text string, most int) string {
	text = strings.ToValidUTF8(text, "?")
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "")
}

func dryRun(request *admission.Request) bool { return request.DryRun != nil && *request.DryRun }
