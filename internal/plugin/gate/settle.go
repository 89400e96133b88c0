// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labguard/labguard/internal/posture/template"
)

// What decides where the gate does not.
const (
	inRecovery = "the namespace is in recovery: the gate lets everything in"
	isFrozen   = "it is held, and a LabWorkload that selects it is suspended: labguard releases nothing meanwhile"
	isReleased = "it is held; by what is known here nothing stops these images any more, so that labguard releases it in a moment"
)

// settle makes the answers of the gate those of the cluster, where the gate is not asked or not alone: what components of Kubernetes write, a namespace in
// recovery, and what is held, which labguard alone releases. brings says that it is asked about other images than those that the object has.
func (e *Explanation) settle(seen *Seen, write ask, brings bool) {
	owned := ownerOfKubernetes(write.root) != nil && !brings
	switch reason := e.Owner + " controls it, and what a controller of Kubernetes makes of it is never refused"; {
	case e.Held:
		e.settleHeld(seen, write, owned)
	case owned:
		for _, outcome := range []*Outcome{&e.Now, &e.Later, &e.AnewNow, &e.AnewLater, e.UnderEnforce} {
			outcome.passes(reason)
		}
	}
	if seen.InRecovery() {
		e.Now.passes(inRecovery) // how long it lasts is not known
	}
}

// settleHeld answers for what is held. By the later instant labguard has released it, if its own images are fine then and nothing is suspended.
func (e *Explanation) settleHeld(seen *Seen, write ask, owned bool) {
	for _, outcome := range []*Outcome{&e.Now, &e.Later} {
		if owned && outcome.Verdict == Refuses {
			outcome.Verdict = Holds // nobody refuses it, and labguard does not release it
		}
	}
	write.at = seen.Now
	_, _, asked := seen.decide(write)
	reason := isReleased
	if asked.Frozen() {
		reason = isFrozen
	}
	e.Now.holds(reason)
	own := write
	own.root = write.old
	if asked.Frozen() || !seen.outcome(own, e.Later.At).Verdict.Passes() {
		e.Later.holds(reason)
	}
}

// passes makes an outcome one that nothing stops.
func (o *Outcome) passes(reason string) {
	if o != nil && o.Verdict != RollsOut {
		o.Verdict, o.Reasons, o.NextChange = RollsOut, []string{reason}, nil
	}
}

// holds makes an outcome that would pass one that is held.
func (o *Outcome) holds(reason string) {
	if o.Verdict.Passes() {
		o.Verdict, o.Reasons = Holds, append([]string{reason}, o.Reasons...)
	}
}

// ownerOfKubernetes is what controls an object, if that is of a kind whose controller is a component of Kubernetes; else nil. Of other kinds nobody knows where
// their operator runs: one of the same namespace is judged as a person is.
func ownerOfKubernetes(root *template.Root) *metav1.OwnerReference {
	owner := root.Controller()
	if owner == nil {
		return nil
	}
	group, _, found := strings.Cut(owner.APIVersion, "/")
	if !found {
		group = ""
	}
	if !slices.Contains([]string{"", "apps", "batch"}, group) {
		return nil
	}
	kinds := []string{"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ReplicationController", "Job", "CronJob"}
	if !slices.Contains(kinds, owner.Kind) {
		return nil
	}
	return owner
}
