// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "strings"

// Annotations and labels that labguard owns.
const (
	// AdmittedAnnotation is on a root workload: the references of the images that were let in for it, separated by spaces.
	// The match conditions of the webhooks read it, so that a rollback needs no labguard. An admission policy heals it.
	AdmittedAnnotation = "labguard.dev/admitted"
	// AdmissionsAnnotation is on a root workload: a JSON list of the admissions of its present images (reason, time, digest).
	// The controller copies it into the RolloutRecord. An admission policy heals it.
	AdmissionsAnnotation = "labguard.dev/admissions"
	// HoldAnnotation marks a held root workload. Its value is the JSON merge patch (RFC 7386) of the spec that gives back what the hold has
	// replaced, such as {"paused":null}, so that a hold can be undone without labguard. In a dry run of labguard's it carries the nonce of the canary.
	HoldAnnotation = "labguard.dev/hold"
	// SchedulingGate keeps pods of held bare pods, and of new StatefulSets and DaemonSets that are held, from being scheduled.
	SchedulingGate = "labguard.dev/image-age"
	// RecoveryLabel is on a Namespace in recovery: unix seconds until when the gate lets everything in.
	RecoveryLabel = "labguard.dev/recovery-until"
	// ManagedByLabel is on every object that labguard writes; ManagedByValue is its value.
	ManagedByLabel = "app.kubernetes.io/managed-by"
	// ManagedByValue is the value of ManagedByLabel.
	ManagedByValue = "labguard"
	// LabWorkloadLabel is on every child: the name of its LabWorkload, shortened with a hash above 63 characters.
	LabWorkloadLabel = "labguard.dev/labworkload"
	// WorkloadLabel is on a pod that has airlock: the LabWorkloadLabel value of the LabWorkload that it is part of. Companion Services and network
	// policies select by it. The injection policy sets it, and it never changes on a live pod.
	WorkloadLabel = "labguard.dev/workload"
	// AirlockLabel is on a pod that has airlock: the hash of the profile that it was made from. It is information, and selects nothing.
	AirlockLabel = "labguard.dev/airlock"
	// SyncAnnotation is on a pod that has airlock: labguard changes it when something that is mounted there has changed, so that the kubelet looks at
	// once. GitOps tools and diff policies ignore it.
	SyncAnnotation = "labguard.dev/sync"
	// TrustBundlePrefix is before a trust domain, and AuthorityBundlePrefix before the name of an external authority: the name of its ClusterTrustBundle
	// or, where the cluster serves none, of its key in the ConfigMap TrustConfigMap.
	TrustBundlePrefix     = "labguard-trust-"
	AuthorityBundlePrefix = "labguard-authority-"
	// TrustConfigMap is the ConfigMap of all bundles: in labguard's own namespace what labguard has published, elsewhere what is mounted.
	TrustConfigMap = "labguard-trust"
	// LeavingAnnotation is on a bundle: the roots that the configuration no longer has, and what keeps each.
	LeavingAnnotation = "labguard.dev/leaving-roots"
	// OperatorCertificate is the Certificate of labguard's own identity, OperatorSecret the Secret that receives it, both in its own namespace.
	OperatorCertificate = "labguard-operator"
	OperatorSecret      = "labguard-operator-identity"
	// OperatorPath is the path of labguard's own SPIFFE ID in the trust domain. No allow list can name it.
	OperatorPath = "/labguard/operator"
	// FieldManager is the field manager of everything that labguard writes.
	FieldManager = "labguard"
)

// People.
const (
	// BreakGlassGroup is the group whose members are never asked for a login or for training, unless the configuration names another.
	BreakGlassGroup = "labguard:break-glass"
	// AcknowledgeVerb is the RBAC verb on breakglassuses of whoever may acknowledge a use of break glass.
	AcknowledgeVerb = "acknowledge"
)

// EmergencyGroup is the group whose members are never asked: the one that is configured, or BreakGlassGroup where that is empty, or a group that everybody is in, or
// every machine or node, which would switch the rules off for all.
func EmergencyGroup(configured string) string {
	switch {
	case configured == "", configured == "system:unauthenticated", configured == "system:nodes", configured == "system:authenticated",
		strings.HasPrefix(configured, "system:authenticated:"), strings.HasPrefix(configured, "system:serviceaccounts"):
		return BreakGlassGroup
	default:
		return configured
	}
}

// Keys of userInfo.extra under which the claims of a login arrive, unless an IdentityProvider names others.
const (
	// ClaimIssuer is the key of iss, and ClaimSubject that of the claim which tells the people of the issuer apart.
	ClaimIssuer  = "labguard.dev/issuer"
	ClaimSubject = "labguard.dev/subject"
	// ClaimMethods is the key of amr, ClaimContext that of acr and ClaimAuthTime that of auth_time.
	ClaimMethods  = "labguard.dev/amr"
	ClaimContext  = "labguard.dev/acr"
	ClaimAuthTime = "labguard.dev/auth-time"
)
