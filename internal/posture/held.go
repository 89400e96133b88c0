// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

// maxHeldImages is how many images of one held rollout are listed.
const maxHeldImages = 10

// HeldImages are the images that a held rollout waits for as a status lists them: sorted, each once, at most ten, and fit to be shown.
func HeldImages(references []string) []string {
	images := distinct(references)
	images = images[:min(len(images), maxHeldImages)]
	for i := range images {
		images[i] = shown(images[i])
	}
	return images
}
