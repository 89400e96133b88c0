// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package posture

// CommonPlatform is the one platform of all nodes that take pods; zero if they have several, or if none is known. It is what an image that is
// declared without a node selector will run on. A node that has not said its platform yet takes no part.
func CommonPlatform(nodes []Platform) Platform {
	var common Platform
	for _, platform := range nodes {
		switch {
		case platform == Platform{} || platform == common:
		case common == Platform{}:
			common = platform
		default:
			return Platform{}
		}
	}
	return common
}
