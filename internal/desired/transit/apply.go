// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package transit

import (
	"encoding/json"
	"fmt"

	"github.com/labguard/labguard/api/v1alpha1"
	applyv1alpha1 "github.com/labguard/labguard/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired"
)

// ProfileApply is a profile as a whole intent for server-side apply. It has no owner: it outlives the LabWorkload while pods have the sidecar.
func ProfileApply(namespace string, spec *v1alpha1.AirlockProfileSpec) (*applyv1alpha1.AirlockProfileApplyConfiguration, error) {
	encoded, err := json.Marshal(spec)
	if err != nil {
		return nil, fmt.Errorf("encode the profile of LabWorkload %s/%s: %w", namespace, spec.LabWorkload, err)
	}
	configuration := &applyv1alpha1.AirlockProfileSpecApplyConfiguration{}
	if err := json.Unmarshal(encoded, configuration); err != nil {
		return nil, fmt.Errorf("decode the profile of LabWorkload %s/%s: %w", namespace, spec.LabWorkload, err)
	}
	return applyv1alpha1.AirlockProfile(desired.ChildName(spec.LabWorkload), namespace).
		WithLabels(map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue, v1alpha1.LabWorkloadLabel: desired.LabelValue(spec.LabWorkload)}).
		WithSpec(configuration), nil
}

// Leaving is a profile of which no pod gets the sidecar any more, and whose ports are open in plaintext again.
func Leaving(spec v1alpha1.AirlockProfileSpec) v1alpha1.AirlockProfileSpec {
	spec.Selector, spec.Stage = nil, v1alpha1.TransitStagePermissive
	return spec
}

// Relaxed is a document whose ports are open in plaintext again, and whose upstreams may be reached in plaintext where they are not strict any more: nobody else
// writes that once the LabWorkload has gone. All else stays: running pods live on it.
func Relaxed(document []byte, strict func(id string) (bool, error)) ([]byte, error) {
	var made config.Configuration
	if err := json.Unmarshal(document, &made); err != nil {
		return nil, fmt.Errorf("read the configuration of a sidecar: %w", err)
	}
	for i := range made.Ports {
		made.Ports[i].Stage = config.Permissive
	}
	for i := range made.Upstreams {
		still, err := strict(made.Upstreams[i].ID)
		if err != nil {
			return nil, err
		}
		made.Upstreams[i].Fallback = made.Upstreams[i].Fallback || !still
	}
	return encode(made), nil
}
