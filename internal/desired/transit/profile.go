// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package transit

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
	"github.com/labguard/labguard/internal/desired"
)

const (
	// baseMemory is what airlock needs without a connection, connectionMemory what a connection adds: two sockets' buffers and the state of TLS.
	baseMemory       = 24 << 20
	connectionMemory = 96 << 10
	// defaultConnections is spec.maxConnections where it is absent.
	defaultConnections = 1024
	// hashLength is how many hexadecimal digits name a revision.
	hashLength = 16
	maxKnown   = 8
	maxBundles = 32
)

// Memory is the memory limit of an airlock in bytes for a number of connections.
func Memory(connections int) int64 {
	return baseMemory + int64(connections)*connectionMemory
}

func maxConnections(transit *v1alpha1.InTransitSpec) int {
	return int(cmp.Or(transit.MaxConnections, defaultConnections))
}

// profile is the spec of the profile. Pods get the sidecar only once its document is there: without it, it could not stand for any upstream.
func profile(facts Facts, ports []v1alpha1.AllocatedPort, client half) v1alpha1.AirlockProfileSpec {
	lw := facts.Workload
	spec := v1alpha1.AirlockProfileSpec{
		Workload: desired.LabelValue(lw.Name), LabWorkload: lw.Name, Stage: facts.Stage, Ports: ports, Upstreams: client.allocated,
		Current: revision(facts, client),
	}
	if facts.Leaving {
		spec.Stage = v1alpha1.TransitStagePermissive
		if facts.Previous != nil {
			spec.Current, spec.Known = facts.Previous.Spec.Current, facts.Previous.Spec.Known
			return spec
		}
	}
	if !facts.Leaving && facts.Written {
		spec.Selector = lw.Spec.Selector.DeepCopy()
	}
	spec.Known = known(facts, spec.Current.Hash)
	return spec
}

func revision(facts Facts, client half) v1alpha1.AirlockRevision {
	lw := facts.Workload
	made := v1alpha1.AirlockRevision{
		Image: facts.Platform.Image, Memory: Memory(maxConnections(desired.Sidecar(lw))), Secret: SecretName(lw, facts.Previous, facts.Platform.Salt),
		ConfigMap: desired.ChildName(lw.Name), Bundles: bundles(facts.Platform), HostAliases: client.aliases, Redirect: client.redirect,
	}
	made.Hash = Hash(made)
	return made
}

// Hash is the hash of all fields of a revision but the hash itself.
func Hash(revision v1alpha1.AirlockRevision) string {
	revision.Hash = ""
	encoded, err := json.Marshal(revision) //nolint:gosec // it has the name of a Secret, and not what is in it
	if err != nil {
		return "" // strings and numbers alone cannot fail; the API refuses a revision without a hash
	}
	return shortHash(encoded)
}

func shortHash(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])[:hashLength]
}

// SecretName is the Secret of the sidecar's identity: that of the profile as it is, or for a new one a name of its own. A LabWorkload that comes back under
// the name of an earlier one must not take over a key of before, and neither must one that has left its stage and comes back to it: a pod may hold the former
// Secret. With a salt nobody knows the name beforehand: a pod that named it before the guards stood would wait for the Secret and get it.
func SecretName(lw *v1alpha1.LabWorkload, previous *v1alpha1.AirlockProfile, salt string) string {
	if previous != nil && previous.Spec.Current.Secret != "" {
		return previous.Spec.Current.Secret
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", lw.UID, lw.Generation, salt))
	return desired.IdentityName(lw.Name) + "-" + hex.EncodeToString(sum[:])[:8]
}

// bundles are all bundles of the platform, that of the cluster's own trust domain first: another peer needs no new pod.
func bundles(platform Platform) []v1alpha1.AirlockBundle {
	all := slices.Clone(platform.Bundles)
	slices.SortFunc(all, func(a, b Bundle) int {
		ours := func(bundle Bundle) int {
			if bundle.TrustDomain == platform.TrustDomain {
				return 0
			}
			return 1
		}
		return cmp.Or(cmp.Compare(ours(a), ours(b)), cmp.Compare(a.path(), b.path()))
	})
	made := make([]v1alpha1.AirlockBundle, 0, len(all))
	for _, bundle := range all[:min(len(all), maxBundles)] {
		made = append(made, v1alpha1.AirlockBundle{Name: bundle.Name, Path: bundle.path()})
	}
	return made
}

func (b Bundle) path() string {
	if b.Authority != "" {
		return config.AuthorityDirectory + "/" + b.Authority + ".pem"
	}
	return config.BundleDirectory + "/" + b.TrustDomain + ".pem"
}

// known are the earlier revisions, the latest first: those that pods run before those that none does.
func known(facts Facts, current string) []v1alpha1.AirlockRevision {
	if facts.Previous == nil {
		return nil
	}
	earlier := append([]v1alpha1.AirlockRevision{facts.Previous.Spec.Current}, facts.Previous.Spec.Known...)
	seen := map[string]bool{current: true}
	earlier = slices.DeleteFunc(earlier, func(revision v1alpha1.AirlockRevision) bool {
		again := seen[revision.Hash]
		seen[revision.Hash] = true
		return again
	})
	inUse := map[string]bool{}
	for _, pod := range facts.Pods {
		inUse[pod.Revision] = true
	}
	for i := len(earlier) - 1; i > 0 && len(earlier) > maxKnown; i-- {
		if !inUse[earlier[i].Hash] {
			earlier = slices.Delete(earlier, i, i+1)
		}
	}
	return earlier[:min(len(earlier), maxKnown)]
}
