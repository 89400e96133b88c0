// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/provider"
)

// as is a client of somebody.
func as(who person) *kubernetes.Clientset { return kubernetes.NewForConfigOrDie(who.config) }

// eventually asks until the answer is yes.
func eventually(ctx context.Context, met func(context.Context) (bool, error)) error {
	return wait.PollUntilContextCancel(ctx, pollEvery, true, met)
}

// change changes the template of a Deployment.
func (p *people) change(ctx context.Context, who person, name string, c column) error {
	patch := fmt.Sprintf(`{"spec":{"template":{"metadata":{"annotations":{"lab.example/changed":"by %s, column %d, at %d"}}}}}`, who.name, c.number, time.Now().UnixNano())
	_, err := as(who).AppsV1().Deployments(p.namespace).Patch(ctx, name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

func (p *people) reads(ctx context.Context, who person) error {
	_, err := as(who).CoreV1().Pods(p.namespace).Get(ctx, p.desk.pod, metav1.GetOptions{})
	return err
}

// logsIn is a new login, and what it is good for.
func (p *people) logsIn(ctx context.Context, _ column) error {
	tokens, err := p.known.TryLogin(ctx, provider.Login{User: "alice", Methods: twoFactors})
	if err != nil {
		return fmt.Errorf("%s: %w", nobodyLogs, err)
	}
	return ways["exec"](ctx, cluster.TokenConfig(tokens.ID), p.desk, webSocket)
}

func app(c column) string { return fmt.Sprintf("app-%d", c.number) }

// deploys makes an app as the machine, and waits until it runs.
func (p *people) deploys(ctx context.Context, c column) error {
	deployment := &appsv1.Deployment{}
	if err := yaml.Unmarshal([]byte(p.deskManifest("Deployment", app(c), 1)), deployment); err != nil {
		return err
	}
	if _, err := as(p.machine).AppsV1().Deployments(p.namespace).Create(ctx, deployment, metav1.CreateOptions{}); err != nil {
		return err
	}
	return p.runs(ctx, app(c), 1)
}

func (p *people) rollsOut(ctx context.Context, c column) error {
	if err := p.change(ctx, p.machine, app(c), c); err != nil {
		return err
	}
	return p.runs(ctx, app(c), 1)
}

// runs waits until exactly so many pods of a Deployment are as it says, and are ready.
func (p *people) runs(ctx context.Context, name string, pods int32) error {
	return eventually(ctx, func(ctx context.Context) (bool, error) {
		found, err := as(p.administrator).AppsV1().Deployments(p.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		s := found.Status
		return s.ObservedGeneration == found.Generation && s.UpdatedReplicas == pods && s.AvailableReplicas == pods && s.Replicas == pods, nil
	})
}

// collected deletes the Deployment and leaves the rest to the garbage collector.
func (p *people) collected(ctx context.Context, c column) error {
	admin := as(p.administrator)
	labelled := metav1.ListOptions{LabelSelector: "app=" + app(c)}
	before, err := admin.CoreV1().Pods(p.namespace).List(ctx, labelled)
	if err != nil || len(before.Items) == 0 {
		return errors.Join(err, fmt.Errorf("%d pods before", len(before.Items)))
	}
	background := metav1.DeletePropagationBackground
	if err := as(p.machine).AppsV1().Deployments(p.namespace).Delete(ctx, app(c), metav1.DeleteOptions{PropagationPolicy: &background}); err != nil {
		return err
	}
	return eventually(ctx, func(ctx context.Context) (bool, error) {
		sets, err := admin.AppsV1().ReplicaSets(p.namespace).List(ctx, labelled)
		if err != nil {
			return false, err
		}
		pods, err := admin.CoreV1().Pods(p.namespace).List(ctx, labelled)
		return err == nil && len(sets.Items)+len(pods.Items) == 0, err
	})
}

// replaced deletes a pod and waits for another one.
func (p *people) replaced(ctx context.Context, _ column) error {
	pods := as(p.machine).CoreV1().Pods(p.namespace)
	labelled := metav1.ListOptions{LabelSelector: "app=replaced"}
	before, err := pods.List(ctx, labelled)
	if err != nil || len(before.Items) != 1 {
		return errors.Join(err, fmt.Errorf("%d pods before", len(before.Items)))
	}
	if err := pods.Delete(ctx, before.Items[0].Name, metav1.DeleteOptions{}); err != nil {
		return err
	}
	return eventually(ctx, func(ctx context.Context) (bool, error) {
		after, err := pods.List(ctx, labelled)
		return err == nil && len(after.Items) == 1 && after.Items[0].UID != before.Items[0].UID && ready(&after.Items[0]), err
	})
}

func ready(pod *corev1.Pod) bool {
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// scaled has the autoscaler want another number of pods, and waits until they run.
func (p *people) scaled(ctx context.Context, c column) error {
	pods := int32(1 + c.number%2)
	patch := fmt.Sprintf(`{"spec":{"minReplicas":%[1]d,"maxReplicas":%[1]d}}`, pods)
	scalers := as(p.machine).AutoscalingV2().HorizontalPodAutoscalers(p.namespace)
	if _, err := scalers.Patch(ctx, "scaled", types.MergePatchType, []byte(patch), metav1.PatchOptions{}); err != nil {
		return err
	}
	return p.runs(ctx, "scaled", pods)
}

// namespaceEnds deletes a namespace in which a login is asked for, with what runs there.
func (p *people) namespaceEnds(ctx context.Context, c column) error {
	namespaces := as(p.administrator).CoreV1().Namespaces()
	if err := namespaces.Delete(ctx, p.doomed(c), metav1.DeleteOptions{}); err != nil {
		return err
	}
	return eventually(ctx, func(ctx context.Context) (bool, error) {
		_, err := namespaces.Get(ctx, p.doomed(c), metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
}
