// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the kinds of labguard: what a team writes down about its laboratory software
// (LabWorkload) and what labguard keeps about the rollouts of it (RolloutRecord).
//
// It has types, validation markers, condition types and reasons, and no logic beyond small getters.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +groupName=labguard.dev
package v1alpha1
