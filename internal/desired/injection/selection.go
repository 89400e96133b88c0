// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection

import "strings"

// labelsOf are the labels of object or oldObject.
func labelsOf(object string) string {
	return object + ".metadata.?labels.orValue({})"
}

// selects is true if the profile selects a pod with these labels. A profile without a selector selects nothing, and so does an empty one: a LabWorkload
// never governs a whole namespace by accident.
func selects(labels string) string {
	return strings.ReplaceAll(selector, "LABELS", labels)
}

const selector = `(has(params.spec.selector)
  && (size(params.spec.selector.?matchLabels.orValue({})) > 0 || size(params.spec.selector.?matchExpressions.orValue([])) > 0)
  && params.spec.selector.?matchLabels.orValue({}).all(k, k in LABELS && LABELS[k] == params.spec.selector.matchLabels[k])
  && params.spec.selector.?matchExpressions.orValue([]).all(e,
       e.operator == 'In' ? (e.key in LABELS && LABELS[e.key] in e.?values.orValue([])) :
       e.operator == 'NotIn' ? !(e.key in LABELS && LABELS[e.key] in e.?values.orValue([])) :
       e.operator == 'Exists' ? e.key in LABELS :
       e.operator == 'DoesNotExist' ? !(e.key in LABELS) : false))`
