// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The namespaces whose writes are compared.
const (
	plain    = "bench-plain"
	noop     = "bench-no-op"
	governed = "bench-labguard"
)

// variants are what is compared, each with the next before it.
var variants = []string{plain, noop, governed}

// concurrencies are how many requests run at a time.
var concurrencies = []int{1, 16}

// warmUp is how many requests each namespace gets before anything is measured.
const warmUp = 200

// deployment is a Deployment as people write them.
func (s *stage) deployment() *appsv1.Deployment {
	labels := map[string]string{"app": "lis"}
	container := corev1.Container{
		Name: "lis", Image: s.image, Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}},
		Env: []corev1.EnvVar{{Name: "DATABASE", Value: "postgres.pathology.svc"}, {Name: "MODE", Value: "day"}},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("128Mi"),
		}},
		VolumeMounts: []corev1.VolumeMount{{Name: "scratch", MountPath: "/tmp"}},
	}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "lis", Labels: labels, Annotations: map[string]string{"owner": "pathology@lab.example"}},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{container}, Volumes: []corev1.Volume{{Name: "scratch"}}},
			},
		},
	}
}

// create is the request that is measured: the API server does everything but store the object.
func (s *stage) create(ctx context.Context, namespace string) (*appsv1.Deployment, error) {
	created, err := s.client.AppsV1().Deployments(namespace).Create(ctx, s.deployment(), metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if err != nil {
		return nil, fmt.Errorf("create a Deployment in %s: %w", namespace, err)
	}
	return created, nil
}

// block sends requests from so many clients at a time and returns how long each took.
func (s *stage) block(ctx context.Context, namespace string, requests, concurrency int) ([]time.Duration, error) {
	took := make([]time.Duration, requests)
	failures := make([]error, concurrency)
	var clients sync.WaitGroup
	for client := range concurrency {
		clients.Go(func() {
			for i := client; i < requests && failures[client] == nil; i += concurrency {
				begun := time.Now()
				_, failures[client] = s.create(ctx, namespace)
				took[i] = time.Since(begun)
			}
		})
	}
	clients.Wait()
	for _, err := range failures {
		if err != nil {
			return nil, err
		}
	}
	return took, nil
}

// process is the program that answers the webhooks of a namespace; nil if there is none.
func (s *stage) process(namespace string) *program {
	switch namespace {
	case noop:
		return s.noop
	case governed:
		return s.manager
	default:
		return nil
	}
}

// measure lets the namespaces take turns, in another order each round.
func (s *stage) measure(ctx context.Context, chosen *settings) (*measurement, error) {
	result := &measurement{series: map[key]*series{}}
	var err error
	if result.idle, err = memoryOf(s.manager); err != nil {
		return nil, err
	}
	for _, namespace := range variants {
		if _, err := s.block(ctx, namespace, warmUp, concurrencies[1]); err != nil {
			return nil, err
		}
	}
	begun := time.Now()
	for round := range chosen.rounds {
		for i := range variants {
			namespace := variants[(round+i)%len(variants)]
			for _, concurrency := range concurrencies {
				requests := chosen.one
				if concurrency > 1 {
					requests = chosen.many
				}
				if err := s.turn(ctx, result, key{namespace, concurrency}, requests); err != nil {
					return nil, err
				}
			}
		}
		if (round+1)%5 == 0 || round+1 == chosen.rounds {
			s.say("round %d of %d after %s", round+1, chosen.rounds, time.Since(begun).Round(time.Second))
		}
	}
	result.busy, err = memoryOf(s.manager)
	return result, err
}

func (s *stage) turn(ctx context.Context, result *measurement, of key, requests int) error {
	process := s.process(of.namespace)
	before, err := cpuOf(process)
	if err != nil {
		return err
	}
	took, err := s.block(ctx, of.namespace, requests, of.concurrency)
	if err != nil {
		return err
	}
	after, err := cpuOf(process)
	if err != nil {
		return err
	}
	result.add(of, took, after-before)
	return nil
}
