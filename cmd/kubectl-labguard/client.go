// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/training"
)

const (
	// fieldManager is that of everything the plugin writes. kustomize-controller takes fields away from managers whose names begin with kubectl, as drift
	// (https://fluxcd.io/flux/components/kustomize/kustomizations/#controlling-the-apply-behavior-of-resources).
	fieldManager = "labguard-plugin"
	// pageSize is how many objects come with one answer.
	pageSize = 1000
)

// labguardAPI is the API of labguard's kinds. It needs no discovery, as it knows the kinds that it asks for.
type labguardAPI struct {
	rest.Interface

	parameters runtime.ParameterCodec
}

func newLabguardAPI(config *rest.Config) (labguardAPI, error) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return labguardAPI{}, fmt.Errorf("register labguard's kinds: %w", err)
	}
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = "/apis", &v1alpha1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	config.ContentType = runtime.ContentTypeJSON
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return labguardAPI{}, fmt.Errorf("make a client: %w", err)
	}
	return labguardAPI{Interface: client, parameters: runtime.NewParameterCodec(scheme)}, nil
}

// clusterRecords are the TrainingRecords of a cluster.
type clusterRecords struct{ api labguardAPI }

// list gives what is there, by name.
func (c clusterRecords) list(ctx context.Context) (map[string]v1alpha1.TrainingRecordSpec, error) {
	there := map[string]v1alpha1.TrainingRecordSpec{}
	options := metav1.ListOptions{Limit: pageSize}
	for {
		var page v1alpha1.TrainingRecordList
		if err := c.api.Get().Resource("trainingrecords").VersionedParams(&options, c.api.parameters).Do(ctx).Into(&page); err != nil {
			return nil, advise("list", "trainingrecords", "", err)
		}
		for _, record := range page.Items {
			there[record.Name] = record.Spec
		}
		if options.Continue = page.Continue; options.Continue == "" {
			return there, nil
		}
	}
}

// apply makes the cluster have a record as it is. A field that somebody else's apply has set and the record does not have would survive a server-side
// apply, and with it an end that is later than the record's: then the object is written as a whole.
func (c clusterRecords) apply(ctx context.Context, record training.Record, dryRun bool) error {
	object := record.Object()
	patch, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encode the record: %w", err)
	}
	var written v1alpha1.TrainingRecord
	err = c.api.Patch(types.ApplyPatchType).Resource("trainingrecords").Name(object.Name).
		VersionedParams(&metav1.PatchOptions{FieldManager: fieldManager, Force: new(true), DryRun: dry(dryRun)}, c.api.parameters).
		Body(patch).Do(ctx).Into(&written)
	if err != nil || record.Is(written.Spec) {
		return err
	}
	written.Spec = object.Spec
	return c.api.Put().Resource("trainingrecords").Name(object.Name).
		VersionedParams(&metav1.UpdateOptions{FieldManager: fieldManager, DryRun: dry(dryRun)}, c.api.parameters).
		Body(&written).Do(ctx).Error()
}

func dry(run bool) []string {
	if run {
		return []string{metav1.DryRunAll}
	}
	return nil
}
