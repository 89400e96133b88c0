// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package rollout

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/hold"
	"github.com/labguard/labguard/internal/posture/ledger"
	"github.com/labguard/labguard/internal/posture/template"
)

// Write is one write to a root workload with what is known of its namespace.
type Write struct {
	// Root is the object as it is to be, Old as it is; nil for a CREATE.
	Root, Old *template.Root
	// Namespace is where it is written.
	Namespace *Namespace
	// Platform is what the nodes of the cluster have in common; it counts where the pods do not ask for one.
	Platform posture.Platform
	Now      time.Time
}

// Governing are the LabWorkloads that enforce image age on the write, by the labels that its pods have or had: a label that moves in the same write is no
// way out.
func (w *Write) Governing() []posture.Governing {
	return w.Namespace.governing(w.Now, w.labels())
}

// Frozen says whether a LabWorkload that selects the object is suspended, so that labguard releases nothing.
func (w *Write) Frozen() bool {
	return w.Namespace.frozen(w.labels())
}

func (w *Write) labels() []labels.Set {
	if w.Old == nil {
		return []labels.Set{w.Root.Template.Labels}
	}
	return []labels.Set{w.Root.Template.Labels, w.Old.Template.Labels}
}

// Admitted are the admissions that count for the root: what its annotations say (of the old object, where nobody but labguard can have written
// them), its records, and what its namespace shares.
func (w *Write) Admitted() ledger.Set {
	return w.Namespace.records.Set(w.earlier(), w.records())
}

func (w *Write) earlier() map[string]string {
	if w.Old == nil {
		return nil
	}
	return w.Old.Annotations
}

// records are the names of the records that count as the root's own: its own, and for a Job that somebody made from a CronJob, or a ReplicaSet of a
// Deployment, the owner's.
func (w *Write) records() []string {
	names := []string{ledger.RecordName(w.Root.Kind, w.Root.Name)}
	owner := w.Root.Controller()
	if owner != nil && (w.Root.Kind == "Job" && owner.Kind == "CronJob" || w.Root.Kind == "ReplicaSet" && owner.Kind == "Deployment") {
		names = append(names, ledger.RecordName(owner.Kind, owner.Name))
	}
	return names
}

// Question is what posture is asked, without Facts, Fresher and CannotHold, which the caller knows.
func (w *Write) Question(governing []posture.Governing, set ledger.Set) posture.RolloutQuestion {
	question := posture.RolloutQuestion{
		Governing: governing, Images: w.Root.Template.Images, Admitted: set.Admitted, LastAdmitted: w.lastAdmitted(set), Now: w.Now,
	}
	// What a held object declares has never run: it is not what must not be stopped.
	if w.Old != nil && !hold.Marked(w.Old.Annotations) {
		question.Running = w.Old.Template.References()
	}
	return question
}

// lastAdmitted is the image to go back to: what the object declares now comes before what it ran earlier.
func (w *Write) lastAdmitted(set ledger.Set) string {
	brought := w.Root.Template.References()
	if w.Old != nil {
		for _, reference := range w.Old.Template.References() {
			if _, admitted := set.Admitted(reference); admitted && !slices.Contains(brought, reference) {
				return reference
			}
		}
	}
	return set.Last(brought)
}

// Unknown are the queries for the images whose facts the decision depends on.
func (w *Write) Unknown(question *posture.RolloutQuestion) []posture.ImageQuery {
	var wanted []posture.ImageQuery
	for _, reference := range w.Root.Template.References() {
		if _, admitted := question.Admitted(reference); !admitted && !slices.Contains(question.Running, reference) {
			wanted = append(wanted, w.Query(reference))
		}
	}
	return wanted
}

// Query is the question to a registry for one reference as the pods would pull it.
func (w *Write) Query(reference string) posture.ImageQuery {
	query := w.Root.Template.Query(w.Namespace.name, reference)
	if query.Platform == (posture.Platform{}) {
		query.Platform = w.Platform
	}
	return query
}
