// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

// Package template reads what labguard needs off anything that makes pods: the labels, the images, the platform and the pull secrets
// of a pod template, of a pod, or of the raw object of an admission request.
//
// It is pure and keeps nothing else of the object, so that a cache holds little and a decision sees only what it may depend on.
package template
