// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"slices"
	"strings"

	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/policy"
)

// notDeleting lets every write to an object pass that is being deleted: the garbage collector takes finalizers off by UPDATE, and
// no controller rolls out a template of an object that goes away.
const notDeleting = "!has(object.metadata.deletionTimestamp)"

// controllerOwned is true if the new object names a controller as its owner.
const controllerOwned = "object.metadata.?ownerReferences.orValue([]).exists(r, r.?controller.orValue(false))"

// outsider is true if the writer is a component of Kubernetes or an operator of another namespace: a `system:` identity that is
// neither a ServiceAccount of the namespace of the request nor of a GitOps tool. Only their word that an object is owned counts,
// since anybody may write an owner reference. A positive list of controllers would refuse the controllers of a cluster that calls
// them by other names, and so cause the outage.
func outsider(config Config) string {
	prefixes := []string{"'system:serviceaccount:' + request.namespace + ':'"}
	for _, namespace := range slices.Compact(slices.Sorted(slices.Values(config.GitOpsNamespaces))) {
		prefixes = append(prefixes, quote("system:serviceaccount:"+namespace+":"))
	}
	return fmt.Sprintf("request.userInfo.username.startsWith('system:')\n"+
		"  && ![%s].exists(p, request.userInfo.username.startsWith(p))", strings.Join(prefixes, ", "))
}

// root is true unless an outsider says that a controller owns the object.
func root(config Config) string {
	return fmt.Sprintf("!(%s\n  && %s)", controllerOwned, outsider(config))
}

// held is true if the hold marker is on the old or the new object and the write touches the spec or the marker. A label of a held
// object needs no labguard.
const held = `(('` + v1alpha1.HoldAnnotation + `' in object.metadata.?annotations.orValue({}) || '` + v1alpha1.HoldAnnotation + `' in oldObject.metadata.?annotations.orValue({}))
    && (object.?spec != oldObject.?spec
        || object.metadata.?annotations[?'` + v1alpha1.HoldAnnotation + `'] != oldObject.metadata.?annotations[?'` + v1alpha1.HoldAnnotation + `']))`

// admitted is the list of references in the annotation of the old object, which nobody but labguard can write.
const admitted = `oldObject.metadata.?annotations[?'` + v1alpha1.AdmittedAnnotation + `'].orValue('').split(' ')`

// imagesOrHold is true if the write could bring an image that was not admitted: every CREATE (first, as it has no old object), a
// write to a held object, and an UPDATE of images (containers, init containers, image volumes) unless all of them are in the
// annotation of the old object: a rollback needs no labguard.
//
// Bare pods have no rollback: their image is changed in place and the kubelet starts it at once, so the annotation is not looked
// at and the webhook decides from the records.
func imagesOrHold(pod podSpec) string {
	parts := []string{"request.operation == 'CREATE'", held}
	if pod.rollsBack {
		parts = append(parts, fmt.Sprintf("((%s)\n    && !(%s))", pod.changed(), pod.known()))
	} else {
		parts = append(parts, "("+pod.changed()+")")
	}
	if also := pod.alsoChanged; also != "" {
		parts = append(parts, also)
	}
	return strings.Join(parts, "\n  || ")
}

// ephemeralChanged is true if a debug container was added.
const ephemeralChanged = `object.spec.?ephemeralContainers.orValue([]).map(c, [c.name, c.?image.orValue('')])
  != oldObject.spec.?ephemeralContainers.orValue([]).map(c, [c.name, c.?image.orValue('')])`

// condition is one match condition.
func condition(name, expression string) *admissionac.MatchConditionApplyConfiguration {
	return policy.Condition(name, expression)
}
