// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	core "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
	"github.com/labguard/labguard/internal/plugin/gate"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/template"
)

// reader reads what the answers are made of.
type reader struct {
	api  labguardAPI
	core core.CoreV1Interface
}

func newReader(config *rest.Config) (reader, error) {
	api, err := newLabguardAPI(config)
	if err != nil {
		return reader{}, err
	}
	objects, err := core.NewForConfig(config)
	if err != nil {
		return reader{}, fmt.Errorf("make a client: %w", err)
	}
	return reader{api: api, core: objects}, nil
}

func (p *plugin) reader() (reader, error) {
	config, err := p.config()
	if err != nil {
		return reader{}, err
	}
	return newReader(config)
}

// listOf lists one of labguard's kinds, of a namespace or of all if it is empty.
func listOf[T any, L any, PL interface {
	*L
	metav1.ListInterface
	runtime.Object
}](ctx context.Context, api labguardAPI, resource, namespace string, items func(*L) []T) ([]T, error) {
	var all []T
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page := PL(new(L))
		err := api.Get().NamespaceIfScoped(namespace, namespace != "").Resource(resource).VersionedParams(&options, api.parameters).Do(ctx).Into(page)
		if err != nil {
			return nil, unread("list", resource, namespace, err)
		}
		all = append(all, items((*L)(page))...)
		if options.Continue = page.GetContinue(); options.Continue == "" {
			return all, nil
		}
	}
}

func (r reader) workloads(ctx context.Context, namespace string) ([]v1alpha1.LabWorkload, error) {
	return listOf(ctx, r.api, "labworkloads", namespace, func(list *v1alpha1.LabWorkloadList) []v1alpha1.LabWorkload { return list.Items })
}

func (r reader) records(ctx context.Context, namespace string) ([]v1alpha1.RolloutRecord, error) {
	return listOf(ctx, r.api, "rolloutrecords", namespace, func(list *v1alpha1.RolloutRecordList) []v1alpha1.RolloutRecord { return list.Items })
}

func (r reader) trainings(ctx context.Context) ([]v1alpha1.TrainingRecord, error) {
	return listOf(ctx, r.api, "trainingrecords", "", func(list *v1alpha1.TrainingRecordList) []v1alpha1.TrainingRecord { return list.Items })
}

func (r reader) imageRecords(ctx context.Context) ([]v1alpha1.ImageRecord, error) {
	return listOf(ctx, r.api, "imagerecords", "", func(list *v1alpha1.ImageRecordList) []v1alpha1.ImageRecord { return list.Items })
}

func (r reader) workload(ctx context.Context, namespace, name string) (*v1alpha1.LabWorkload, error) {
	found := &v1alpha1.LabWorkload{}
	err := r.api.Get().Namespace(namespace).Resource("labworkloads").Name(name).Do(ctx).Into(found)
	switch {
	case apierrors.IsNotFound(err) && !unserved(err):
		return nil, r.absent(ctx, labWorkload, namespace, name)
	case err != nil:
		return nil, unread("get", "labworkloads", namespace, err)
	default:
		return found, nil
	}
}

// profile is the AirlockProfile of a LabWorkload, nil if there is none.
func (r reader) profile(ctx context.Context, lw *v1alpha1.LabWorkload) (*v1alpha1.AirlockProfile, error) {
	found := &v1alpha1.AirlockProfile{}
	err := r.api.Get().Namespace(lw.Namespace).Resource("airlockprofiles").Name(desired.ChildName(lw.Name)).Do(ctx).Into(found)
	switch {
	case apierrors.IsNotFound(err) && !unserved(err):
		return nil, nil
	case err != nil:
		return nil, err
	default:
		return found, nil
	}
}

// airlocks are the images that airlock has in a namespace, where an object has a container that may be labguard's; else nil. They are those of the revisions of
// AirlockProfiles, which nobody but labguard writes.
func (r reader) airlocks(ctx context.Context, namespace string, root *template.Root) ([]string, error) {
	if root == nil || root.Kind != "Pod" || !slices.ContainsFunc(root.Template.Images, func(image posture.TemplateImage) bool {
		return image.Init && strings.HasPrefix(image.Container, "airlock")
	}) {
		return nil, nil
	}
	profiles, err := listOf(ctx, r.api, "airlockprofiles", namespace, func(list *v1alpha1.AirlockProfileList) []v1alpha1.AirlockProfile { return list.Items })
	if err != nil {
		return nil, err
	}
	var images []string
	for i := range profiles {
		images = append(images, profiles[i].Spec.Current.Image)
		for j := range profiles[i].Spec.Known {
			images = append(images, profiles[i].Spec.Known[j].Image)
		}
	}
	return images, nil
}

// companions are the Services that labguard has written for a LabWorkload.
func (r reader) companions(ctx context.Context, lw *v1alpha1.LabWorkload) ([]corev1.Service, error) {
	selector := v1alpha1.LabWorkloadLabel + "=" + desired.LabelValue(lw.Name) + "," + v1alpha1.ManagedByLabel + "=" + v1alpha1.ManagedByValue
	found, err := r.core.Services(lw.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, err
	}
	return found.Items, nil
}

// platform is what the nodes have in common. It is zero if they may not be listed.
func (r reader) platform(ctx context.Context) posture.Platform {
	var platforms []posture.Platform
	options := metav1.ListOptions{Limit: pageSize}
	for {
		page, err := r.core.Nodes().List(ctx, options)
		if err != nil {
			return posture.Platform{}
		}
		for i := range page.Items {
			if info := page.Items[i].Status.NodeInfo; !page.Items[i].Spec.Unschedulable {
				platforms = append(platforms, posture.Platform{OS: info.OperatingSystem, Architecture: info.Architecture})
			}
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return posture.CommonPlatform(platforms)
		}
	}
}

// named reads something that somebody has asked for by its name: if it is not there, the error says what may have been meant.
func (r reader) named(ctx context.Context, kind kind, namespace, name string) (gate.Object, error) {
	found, err := r.object(ctx, kind, namespace, name)
	if apierrors.IsNotFound(err) && !unserved(err) {
		return gate.Object{}, r.absent(ctx, kind, namespace, name)
	}
	return found, err
}

// object reads something that makes pods, or a pod.
func (r reader) object(ctx context.Context, kind kind, namespace, name string) (gate.Object, error) {
	for _, segment := range []string{namespace, name} {
		if problems := content.IsPathSegmentName(segment); len(problems) > 0 {
			return gate.Object{}, fmt.Errorf("%q is no name: it %s", segment, strings.Join(problems, ", "))
		}
	}
	raw, err := body(r.api.Get().AbsPath(kind.root, "namespaces", namespace, kind.resource, name).Do(ctx))
	if err != nil {
		return gate.Object{}, unread("get", kind.resource, namespace, err)
	}
	root, err := template.Decode(kind.name, raw)
	if err != nil {
		return gate.Object{}, &unansweredError{err}
	}
	fields, err := hold.Read(kind.name, raw)
	if err != nil {
		return gate.Object{}, &unansweredError{err}
	}
	return gate.Object{Root: root, Fields: fields}, nil
}

// contents read ImageRecords as they are asked for, each once. failed is the first failure other than that there is no record.
type contents struct {
	of     func(digest string) (posture.Content, bool)
	by     func(reference string) (string, bool)
	failed func() error
}

func (r reader) contents(ctx context.Context) contents {
	var failure error
	known := map[string]*posture.Content{}
	var references map[string]v1alpha1.ImageRecord
	of := func(digest string) (posture.Content, bool) {
		content, asked := known[digest]
		if !asked && failure == nil {
			var record v1alpha1.ImageRecord
			err := r.api.Get().Resource("imagerecords").Name(v1alpha1.ImageRecordName(digest)).Do(ctx).Into(&record)
			switch {
			case err == nil:
				read := posture.ContentOf(&record)
				content = &read
			case !apierrors.IsNotFound(err) || unserved(err):
				failure = unread("get", "imagerecords", "", err)
			}
			known[digest] = content
		}
		if content == nil {
			return posture.Content{}, false
		}
		return *content, true
	}
	by := func(reference string) (string, bool) {
		if references == nil && failure == nil {
			references = map[string]v1alpha1.ImageRecord{}
			all, err := r.imageRecords(ctx)
			failure = err
			for _, record := range all {
				if last, found := references[record.Spec.Reference]; !found || record.Spec.FirstSeen.After(last.Spec.FirstSeen.Time) {
					references[record.Spec.Reference] = record
				}
			}
		}
		record, found := references[reference]
		return record.Spec.Digest, found
	}
	return contents{of: of, by: by, failed: func() error { return failure }}
}
