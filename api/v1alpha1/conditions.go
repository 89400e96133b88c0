// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types of a LabWorkload. A requirement that the spec does not make has no condition.
const (
	// ConditionReady: labguard has done its part.
	ConditionReady = "Ready"
	// ConditionReconciling is there only while labguard is on its way (kstatus).
	ConditionReconciling = "Reconciling"
	// ConditionStalled is there only while nothing but a change of the spec or the configuration helps (kstatus).
	ConditionStalled = "Stalled"
	// ConditionCompliant is the sum: False if one requirement is False, else Unknown if one is Unknown, else True.
	ConditionCompliant = "Compliant"
	// ConditionNetworkIsolated: the pods talk only to whom the spec says.
	ConditionNetworkIsolated = "NetworkIsolated"
	// ConditionTransitEncrypted: connections to the pods are encrypted and both ends known.
	ConditionTransitEncrypted = "TransitEncrypted"
	// ConditionImagesFresh: no image that is declared or runs is stale.
	ConditionImagesFresh = "ImagesFresh"
	// ConditionMFAEnforced: a person gets into the pods, and changes what runs there, with a recent multi-factor login alone.
	ConditionMFAEnforced = "MFAEnforced"
	// ConditionBreakGlassUsed is True while a use of break glass in the namespace is not acknowledged, and absent otherwise.
	ConditionBreakGlassUsed = "BreakGlassUsed"
	// ConditionClaimsSeen of an IdentityProvider: claims with all that it proves have arrived in the last 24 hours.
	ConditionClaimsSeen = "ClaimsSeen"
	// ConditionConflict of an IdentityProvider is there while another one names the same issuer: neither is known then.
	ConditionConflict = "Conflict"
	// ConditionStaffTrained: everybody who is known to reach the pods has valid training.
	ConditionStaffTrained = "StaffTrained"
)

// Reasons of conditions and events. An event carries the reason of the condition that it announces.
const (
	// Sums and labguard's own part.

	// ReasonReconciled: everything that labguard has to write is written.
	ReasonReconciled = "Reconciled"
	// ReasonAudit: nothing is enforced.
	ReasonAudit = "Audit"
	// ReasonSuspended: spec.suspend freezes labguard's own writes.
	ReasonSuspended = "Suspended"
	// ReasonWaiting: something that labguard needs is not there yet, such as cert-manager or the issued certificate.
	ReasonWaiting = "Waiting"
	// ReasonFailed: a write failed; labguard tries again.
	ReasonFailed = "Failed"
	// ReasonInvalidSpec: the spec can never work as it is.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonNameTaken: an object with the name of one that labguard has to write exists and belongs to somebody else.
	ReasonNameTaken = "NameTaken"
	// ReasonEnforcementNotProven: the gate is configured and its canary has not come back yet.
	ReasonEnforcementNotProven = "EnforcementNotProven"
	// ReasonProven: the canary came back from every API server address.
	ReasonProven = "Proven"
	// ReasonProvenOnSampledServers: the canary came back on several new connections; the API servers cannot be reached one by one.
	ReasonProvenOnSampledServers = "ProvenOnSampledServers"
	// ReasonCanaryBlocked: something else refuses labguard's canary, so nobody knows whether the gate is closed.
	ReasonCanaryBlocked = "CanaryBlocked"
	// ReasonNamespaceExcluded: the namespace is on the platform's exclusion list, so the gate never stands there.
	ReasonNamespaceExcluded = "NamespaceExcluded"
	// ReasonInRecovery: the namespace is in recovery, so the gate lets everything in.
	ReasonInRecovery = "InRecovery"
	// ReasonAllTrue: every requirement is True.
	ReasonAllTrue = "AllRequirementsMet"
	// ReasonNoRequirement: the spec makes no requirement.
	ReasonNoRequirement = "NoRequirement"
	// ReasonRequirementFailed: at least one requirement is False.
	ReasonRequirementFailed = "RequirementFailed"
	// ReasonRequirementUnknown: no requirement is False and at least one is Unknown.
	ReasonRequirementUnknown = "RequirementUnknown"

	// Network isolation.

	// ReasonNotProven: the policy is written, and nothing has shown yet that the network obeys it.
	ReasonNotProven = "NotProven"
	// ReasonPeerPending: a peer in another namespace has not declared this workload.
	ReasonPeerPending = "PeerPending"
	// ReasonSourceAddressLost: a Service hides the address of external peers, so the narrowing rule is not written.
	ReasonSourceAddressLost = "SourceAddressLost"
	// ReasonOverlap: two LabWorkloads select one pod; their policies are a union.
	ReasonOverlap = "Overlap"
	// ReasonOpenedWider: policies of others open the pods wider than the spec.
	ReasonOpenedWider = "OpenedWider"
	// ReasonOtherPolicyEngine: the cluster has network policies of a kind that labguard cannot read.
	ReasonOtherPolicyEngine = "OtherPolicyEngine"
	// ReasonHostNetwork: a pod is in the node's network, where no NetworkPolicy has an effect.
	ReasonHostNetwork = "HostNetwork"

	// Transit.

	// ReasonIssuerNotAllowed: the issuer is not in labguard's configuration.
	ReasonIssuerNotAllowed = "IssuerNotAllowed"
	// ReasonCertManagerMissing: the API of cert-manager is not served.
	ReasonCertManagerMissing = "CertManagerMissing"
	// ReasonCertificateNotReady: cert-manager has not issued the certificate yet.
	ReasonCertificateNotReady = "CertificateNotReady"
	// ReasonCertificateExpired: the certificate has expired.
	ReasonCertificateExpired = "CertificateExpired"

	// ReasonObserving: stage Observe changes nothing, so nothing is encrypted by labguard.
	ReasonObserving = "Observing"
	// ReasonPermissive: the stage is Permissive, so plaintext is open to the declared peers.
	ReasonPermissive = "Permissive"
	// ReasonMutualTLS: the stage is Strict, every pod has airlock, and the probes of the last hour have shown it on the wire.
	ReasonMutualTLS = "MutualTLS"
	// ReasonNotInjected: pods run without airlock; they get it when they are replaced.
	ReasonNotInjected = "NotInjected"
	// ReasonPlaintextSeen: a connection went over plaintext.
	ReasonPlaintextSeen = "PlaintextSeen"
	// ReasonPlaintextReachable: a probe reached a port in plaintext that the stage closes.
	ReasonPlaintextReachable = "PlaintextReachable"
	// ReasonPlaintextException: plaintext is open to a peer, for a reason and until an end.
	ReasonPlaintextException = "PlaintextException"
	// ReasonUnattributedConnections: connections were over before anybody saw who it was.
	ReasonUnattributedConnections = "UnattributedConnections"
	// ReasonClientPathConflict: airlock cannot listen for an upstream, since the pods themselves serve its port.
	ReasonClientPathConflict = "ClientPathConflict"
	// ReasonHeadlessUnsupported: an upstream is reached by a headless Service, whose names airlock does not stand for.
	ReasonHeadlessUnsupported = "HeadlessUnsupported"
	// ReasonRestartNeeded: running pods were made before an upstream was declared and reach it without airlock until they are replaced.
	ReasonRestartNeeded = "RestartNeeded"
	// ReasonRedirectForbidden: clientPath is Redirect and the namespace's Pod Security level refuses NET_ADMIN.
	ReasonRedirectForbidden = "RedirectForbidden"
	// ReasonSelectorOverlap: two LabWorkloads with provider Sidecar select one pod, which has one identity: the one that has the pod keeps it, else the older one.
	ReasonSelectorOverlap = "SelectorOverlap"
	// ReasonMeshPresent: the pods have the sidecar of a service mesh.
	ReasonMeshPresent = "MeshPresent"
	// ReasonNoIdentity: an airlock has no certificate.
	ReasonNoIdentity = "NoIdentity"
	// ReasonNoTrust: an airlock has no root for the trust domain, so it trusts nobody.
	ReasonNoTrust = "NoTrust"
	// ReasonRenewalLate: cert-manager has not renewed the certificate in time.
	ReasonRenewalLate = "RenewalLate"
	// ReasonNoRecentProof: no probe of the last hour has shown what the stage says.
	ReasonNoRecentProof = "NoRecentProof"
	// ReasonSingleVantage: the probes were made from the node of the pods themselves.
	ReasonSingleVantage = "SingleVantage"
	// ReasonPolicyIgnored: a probe reached a port that the network policy closes: the cluster's network does not obey network policies.
	ReasonPolicyIgnored = "PolicyIgnored"
	// ReasonIsolated: probes of the last hour were stopped where the policy closes, beside connections that it lets through.
	ReasonIsolated = "Isolated"
	// ReasonTooManyWorkloads: the namespace has more LabWorkloads with provider Sidecar than labguard adds airlock for.
	ReasonTooManyWorkloads = "TooManyWorkloads"
	// ReasonAuthorityUnknown: an external authority is not in labguard's configuration.
	ReasonAuthorityUnknown = "AuthorityUnknown"
	// ReasonRootLeaving: a root that the configuration no longer has stays in its bundle, since somebody may stand on it.
	ReasonRootLeaving = "RootLeaving"
	// ReasonRootLeft: a root is in its bundle no more.
	ReasonRootLeft = "RootLeft"
	// ReasonStageEntered: a stage was entered.
	ReasonStageEntered = "StageEntered"

	// Images.

	// ReasonImageFresh: no image is stale.
	ReasonImageFresh = "ImageFresh"
	// ReasonImageSoonStale: no image is stale, and one will be within images.warnBefore.
	ReasonImageSoonStale = "ImageSoonStale"
	// ReasonImageTooYoung: an image is younger than images.minAge.
	ReasonImageTooYoung = "ImageTooYoung"
	// ReasonImageStale: an image is stale.
	ReasonImageStale = "ImageStale"
	// ReasonImageAgeUnknown: the age of an image is not known.
	ReasonImageAgeUnknown = "ImageAgeUnknown"
	// ReasonNoImage: no workload object declares an image and no pod runs one.
	ReasonNoImage = "NoImage"
	// ReasonEnteredUngoverned: a stale image was there before a LabWorkload selected its workload.
	ReasonEnteredUngoverned = "EnteredUngoverned"
	// ReasonRanWithoutAdmission: a stale image runs that the gate never let in.
	ReasonRanWithoutAdmission = "RanWithoutAdmission"
	// ReasonOwnerMismatch: a pod runs another image than its owner declares.
	ReasonOwnerMismatch = "OwnerMismatch"
	// ReasonRunsOtherDigest: the tag has moved since the pod was started.
	ReasonRunsOtherDigest = "RunsOtherDigest"

	// ReasonRolloutHeld: a rollout is held until its images are fine.
	ReasonRolloutHeld = "RolloutHeld"
	// ReasonHeldMidRollout: a rollout is held that came while an earlier one had not finished, so that fewer replicas than declared may be ready.
	ReasonHeldMidRollout = "HeldMidRollout"
	// ReasonRolloutReleased: labguard has given back what held a rollout.
	ReasonRolloutReleased = "RolloutReleased"

	// People.

	// ReasonEnforced: recent multi-factor logins are asked for, and claims are seen to arrive.
	ReasonEnforced = "Enforced"
	// ReasonAccessOnly: changes of what runs are not asked about, so that who may change a pod needs no login to get in.
	ReasonAccessOnly = "AccessOnly"
	// ReasonAccessOpen: the way into pods is not asked about.
	ReasonAccessOpen = "AccessOpen"
	// ReasonGitPathNotProven: what Git weakens takes effect without a person's approval.
	ReasonGitPathNotProven = "GitPathNotProven"
	// ReasonRightsUnknown: nobody has looked yet who holds which rights.
	ReasonRightsUnknown = "RightsUnknown"
	// ReasonWebhookNotAnswering: the webhook was not seen to answer.
	ReasonWebhookNotAnswering = "WebhookNotAnswering"
	// ReasonProviderCannotProve: a provider, or the lack of one, lets people in without proof.
	ReasonProviderCannotProve = "ProviderCannotProve"
	// ReasonNoClaims: claims of a configured issuer were never seen to arrive.
	ReasonNoClaims = "NoClaims"
	// ReasonClusterAdmin: somebody may do everything.
	ReasonClusterAdmin = "ClusterAdmin"
	// ReasonClaimsForgeable: somebody can give themselves claims, or the groups and names for which nobody is asked.
	ReasonClaimsForgeable = "ClaimsForgeable"
	// ReasonMachineIdentityClaimable: somebody can become a listed machine.
	ReasonMachineIdentityClaimable = "MachineIdentityClaimable"
	// ReasonNodesProxy: somebody can reach pods through the proxy of nodes, which admission does not see.
	ReasonNodesProxy = "NodesProxy"
	// ReasonRolesEscalatable: somebody may grant rights that they do not hold.
	ReasonRolesEscalatable = "RolesEscalatable"
	// ReasonSecretsReadable: somebody may read Secrets of a governed namespace, which no admission sees.
	ReasonSecretsReadable = "SecretsReadable"
	// ReasonBreakGlassOpen: break glass was used and nobody has acknowledged it.
	ReasonBreakGlassOpen = "BreakGlassOpen"
	// ReasonClaimsArrived: claims of the issuer with all that it proves have arrived.
	ReasonClaimsArrived = "ClaimsArrived"
	// ReasonClaimsNotSeen: they have never arrived, or not in the last 24 hours.
	ReasonClaimsNotSeen = "ClaimsNotSeen"
	// ReasonIssuerTwice: two IdentityProviders name one issuer.
	ReasonIssuerTwice = "IssuerTwice"

	// Training.

	// ReasonStaffTrained: everybody who is known to reach the workload has valid training in all courses.
	ReasonStaffTrained = "StaffTrained"
	// ReasonTrainingDueSoon: everybody has valid training, and that of somebody ends within 30 days.
	ReasonTrainingDueSoon = "TrainingDueSoon"
	// ReasonTrainingMissing: somebody has never completed a course.
	ReasonTrainingMissing = "TrainingMissing"
	// ReasonTrainingExpired: the training of somebody has ended.
	ReasonTrainingExpired = "TrainingExpired"
	// ReasonNobodyKnown: nobody is known who may reach the workload.
	ReasonNobodyKnown = "NobodyKnown"

	// Ages that nobody can know.

	// ReasonNotInRegistry: neither the repository that the pod names nor the one that its node names knows what runs, as for an image that was
	// loaded into the node by hand.
	ReasonNotInRegistry = "NotInRegistry"

	// ReasonNotResolved: the registry has not been asked yet, or not answered in time.
	ReasonNotResolved = "NotResolved"
	// ReasonImplausibleDate: the image carries no date, or one before 2000 or in the future.
	ReasonImplausibleDate = "ImplausibleDate"
	// ReasonInvalidReference: the image reference cannot be parsed.
	ReasonInvalidReference = "InvalidReference"
	// ReasonCredentialsNotReadable: the registry wants credentials and labguard may not read the pull secrets.
	ReasonCredentialsNotReadable = "CredentialsNotReadable"
	// ReasonCredentialsRejected: the registry refuses the credentials.
	ReasonCredentialsRejected = "CredentialsRejected"
	// ReasonImageNotFound: the registry does not have the image.
	ReasonImageNotFound = "ImageNotFound"
	// ReasonRegistryUnreachable: the registry does not answer.
	ReasonRegistryUnreachable = "RegistryUnreachable"
	// ReasonRegistryThrottled: the registry answers 429.
	ReasonRegistryThrottled = "RegistryThrottled"
	// ReasonRegistryAddressRefused: the registry is at an address that labguard does not call, such as loopback or link-local.
	ReasonRegistryAddressRefused = "RegistryAddressRefused"
	// ReasonInvalidImage: the registry's answer is no image: too large, not JSON, or not what the digest says.
	ReasonInvalidImage = "InvalidImage"
	// ReasonNoMatchingPlatform: the index has no image for the platform.
	ReasonNoMatchingPlatform = "NoMatchingPlatform"
)
