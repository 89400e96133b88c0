// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package imagerecord

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/template"
)

// The indexes of the caches. They have no field of that name: a name that is none cannot be mistaken for a field selector of the API.
const (
	// byConfig finds ImageRecords by the digest of the image configuration.
	byConfig = "labguard/config"
	// byFiles finds ImageRecords by repository and layers.
	byFiles = "labguard/files"
	// byListed finds ImageRecords of indexes by the digests of the images that they list.
	byListed = "labguard/listed"
	// byDigest finds whatever refers to images by the digests that it refers to.
	byDigest = "labguard/digest"
)

// IndexFields adds the indexes that the Store and Indexed read by. Call it once for each manager, before it starts.
func IndexFields(ctx context.Context, indexer client.FieldIndexer) error {
	for field, extract := range map[string]func(*v1alpha1.ImageRecord) []string{byConfig: configOf, byFiles: filesOf, byListed: listedBy} {
		err := indexer.IndexField(ctx, &v1alpha1.ImageRecord{}, field, func(object client.Object) []string {
			record, isRecord := object.(*v1alpha1.ImageRecord)
			if !isRecord {
				return nil
			}
			return extract(record)
		})
		if err != nil {
			return fmt.Errorf("index ImageRecords by %s: %w", field, err)
		}
	}
	referring := []client.Object{
		&v1alpha1.LabWorkload{}, &v1alpha1.RolloutRecord{},
		&appsv1.Deployment{}, &appsv1.StatefulSet{}, &appsv1.DaemonSet{}, &appsv1.ReplicaSet{},
		&corev1.ReplicationController{}, &batchv1.Job{}, &batchv1.CronJob{}, &corev1.Pod{},
	}
	for _, object := range referring {
		if err := indexer.IndexField(ctx, object, byDigest, digestsOf); err != nil {
			return fmt.Errorf("index %T by image digest: %w", object, err)
		}
	}
	return nil
}

// referringLists are empty lists of the kinds that refer to images, those first that answer most often.
func referringLists() []client.ObjectList {
	return []client.ObjectList{
		&v1alpha1.RolloutRecordList{}, &v1alpha1.LabWorkloadList{}, &corev1.PodList{},
		&appsv1.DeploymentList{}, &appsv1.StatefulSetList{}, &appsv1.DaemonSetList{}, &appsv1.ReplicaSetList{},
		&corev1.ReplicationControllerList{}, &batchv1.JobList{}, &batchv1.CronJobList{},
	}
}

func configOf(record *v1alpha1.ImageRecord) []string {
	if record.Spec.Image == nil || record.Spec.Image.ConfigDigest == "" {
		return nil
	}
	return []string{record.Spec.Image.ConfigDigest}
}

func filesOf(record *v1alpha1.ImageRecord) []string {
	if record.Spec.Image == nil || record.Spec.Image.Layers == "" {
		return nil
	}
	return []string{filesKey(posture.Repository(record.Spec.Reference), record.Spec.Image.Layers)}
}

// filesKey is what byFiles has of a repository and layers. Neither has white space.
func filesKey(repository, layers string) string { return repository + " " + layers }

func listedBy(record *v1alpha1.ImageRecord) []string {
	if record.Spec.Index == nil {
		return nil
	}
	digests := make([]string, len(record.Spec.Index.Images))
	for i := range record.Spec.Index.Images {
		digests[i] = record.Spec.Index.Images[i].Digest
	}
	return distinct(digests)
}

// digestsOf are the digests that an object refers to: those in the image references of a pod template, what the nodes say that a pod runs, what
// was admitted, and what a LabWorkload reports.
func digestsOf(object client.Object) []string {
	var texts []string
	switch o := object.(type) {
	case *v1alpha1.RolloutRecord:
		for i := range o.Spec.Admitted {
			texts = append(texts, o.Spec.Admitted[i].Digest, o.Spec.Admitted[i].Reference)
		}
	case *v1alpha1.LabWorkload:
		for i := range o.Status.Images {
			texts = append(texts, o.Status.Images[i].Digest, o.Status.Images[i].Fresher, o.Status.Images[i].Reference)
		}
	default:
		if root, known := template.FromObject(object); known {
			texts = root.Template.References()
		}
		if pod, isPod := object.(*corev1.Pod); isPod {
			for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
				for i := range statuses {
					texts = append(texts, statuses[i].ImageID)
				}
			}
		}
	}
	var digests []string
	for _, text := range texts {
		if digest, found := digestIn(text); found {
			digests = append(digests, digest)
		}
	}
	return distinct(digests)
}

// digestIn is the digest at the end of an image reference or of an imageID, whatever stands before it.
func digestIn(text string) (string, bool) {
	start := strings.LastIndex(text, "sha256:")
	if start < 0 || !sha256Digest.MatchString(text[start:]) {
		return "", false
	}
	return text[start:], true
}

func distinct(digests []string) []string {
	slices.Sort(digests)
	return slices.Compact(digests)
}
