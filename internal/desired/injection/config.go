// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	admissionac "k8s.io/client-go/applyconfigurations/admissionregistration/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/policy"
)

// Names of the policies; their bindings are called the same. ClaimsName and RelabelledName are further bindings of the policy BackstopName.
const (
	InjectionName  = "labguard-injection"
	BackstopName   = "labguard-backstop"
	ClaimsName     = "labguard-claims"
	RelabelledName = "labguard-relabelled"
	LiveName       = "labguard-live"
	ReservedName   = "labguard-reserved"
	ReadersName    = "labguard-readers"
	ProfilesName   = "labguard-profiles"
	IssuersName    = "labguard-issuers"
	SelfName       = "labguard-self"
)

const (
	// Prefix is what the names of labguard's own objects begin with.
	Prefix = "labguard-"
	// TrustConfigMap has the trust bundles where the cluster serves no ClusterTrustBundles.
	TrustConfigMap = "labguard-trust"
	// CompanionSuffix ends the name of every companion Service.
	CompanionSuffix = "-mtls"
	// ProfileDefinition is the CustomResourceDefinition of AirlockProfiles.
	ProfileDefinition = "airlockprofiles.labguard.dev"
	// AllowDeletionAnnotation is what an administrator sets to "true" on the definition to delete it while labguard's policies stand.
	AllowDeletionAnnotation = "labguard.dev/allow-deletion"
	// DefaultCertManagerUser is who cert-manager's controller is as cert-manager is usually installed.
	DefaultCertManagerUser = "system:serviceaccount:cert-manager:cert-manager"
)

// Config is what the policies depend on.
type Config struct {
	// Namespaces are the names of the governed namespaces. Order and doubles do not matter.
	Namespaces []string
	// LabguardUser is the user name of labguard itself, CertManagerUser that of cert-manager's controller; empty: DefaultCertManagerUser.
	LabguardUser    string
	CertManagerUser string
	// ProtectedIssuers are the issuers that serve nothing but labguard's Certificates.
	ProtectedIssuers []Issuer
	// ClusterTrustBundles says whether the cluster serves certificates.k8s.io/v1 ClusterTrustBundles. If not, bundles come from TrustConfigMap.
	ClusterTrustBundles bool
	// KindMissing says that the cluster does not serve AirlockProfiles. A policy whose parameter has no kind refuses everything that it matches, so those that
	// have one match nothing then, and pods start without a sidecar; no pod at all may use labguard's Secrets.
	KindMissing bool
	// Anchor owns the policies.
	Anchor policy.Anchor
}

// Issuer names a cert-manager issuer.
type Issuer struct {
	// Kind is ClusterIssuer or Issuer; Namespace is that of an Issuer.
	Kind, Namespace, Name string
}

func (c Config) certManager() string {
	if c.CertManagerUser == "" {
		return DefaultCertManagerUser
	}
	return c.CertManagerUser
}

// isLabguard is true if labguard itself writes.
func (c Config) isLabguard() string {
	return "request.userInfo.username == " + policy.Quote(c.LabguardUser)
}

// isCertManager is true if cert-manager's controller writes.
func (c Config) isCertManager() string {
	return "request.userInfo.username == " + policy.Quote(c.certManager())
}

// collectors take away what belongs to nobody any more: the garbage collector, and the controller that empties namespaces. They are named one by one: a
// ServiceAccount of a governed namespace is a tenant.
var collectors = []string{
	"system:serviceaccount:kube-system:generic-garbage-collector", "system:serviceaccount:kube-system:namespace-controller",
	// Without --use-service-account-credentials all controllers are one user.
	"system:kube-controller-manager",
}

// endpointWriters keep the addresses behind Services.
var endpointWriters = []string{
	"system:serviceaccount:kube-system:endpointslice-controller", "system:serviceaccount:kube-system:endpointslicemirroring-controller",
	"system:serviceaccount:kube-system:endpoint-controller", "system:kube-controller-manager",
}

// loadBalancers put a finalizer on Services of type LoadBalancer.
var loadBalancers = []string{"system:serviceaccount:kube-system:service-controller", "system:cloud-controller-manager", "system:kube-controller-manager"}

// notCollected is true but for what the collectors do. What they create is looked at: where all controllers are one user, that is every pod of a Deployment.
func notCollected() *admissionac.MatchConditionApplyConfiguration {
	return policy.Condition("not-collected", "request.operation == 'CREATE' || !("+userIn(collectors)+")")
}

func userIn(users []string) string {
	return "request.userInfo.username in " + policy.QuoteAll(users)
}

// names are those of the governed namespaces, sorted.
func (c Config) names() []string {
	return slices.Compact(slices.Sorted(slices.Values(c.Namespaces)))
}

// governed is the condition of a policy without a parameter for the governed namespaces. The API server parses a selector with all the names for every write of anything
// in the cluster, at half a millisecond for a thousand of them, and looks at a condition only for what the rules match.
func (c Config) governed() *admissionac.MatchConditionApplyConfiguration {
	return policy.Condition(governedCondition, "request.?namespace.orValue('') in "+policy.QuoteAll(c.names()))
}

const governedCondition = "governed"

// withProfiles matches resources in the governed namespaces, for policies that have a profile as their parameter. The namespaces are named in the policy and not in a
// condition: a parameter whose kind is gone is an error before any condition is looked at.
func (c Config) withProfiles(rules ...*admissionac.NamedRuleWithOperationsApplyConfiguration) *admissionac.MatchResourcesApplyConfiguration {
	names := c.names()
	requirement := metav1ac.LabelSelectorRequirement().WithKey(corev1.LabelMetadataName)
	if len(names) == 0 || c.KindMissing {
		requirement.WithOperator(metav1.LabelSelectorOpDoesNotExist) // every namespace has the label
	} else {
		requirement.WithOperator(metav1.LabelSelectorOpIn).WithValues(names...)
	}
	return policy.Everywhere(rules...).WithNamespaceSelector(metav1ac.LabelSelector().WithMatchExpressions(requirement))
}

// Names says whether a policy acts on a namespace by its name, as withProfiles and governed write it.
func Names(match *admissionv1.MatchResources, conditions []admissionv1.MatchCondition, namespace string) bool {
	named := match != nil && match.NamespaceSelector != nil &&
		slices.ContainsFunc(match.NamespaceSelector.MatchExpressions, func(by metav1.LabelSelectorRequirement) bool {
			return by.Key == corev1.LabelMetadataName && by.Operator == metav1.LabelSelectorOpIn && slices.Contains(by.Values, namespace)
		})
	return named || slices.ContainsFunc(conditions, func(condition admissionv1.MatchCondition) bool {
		return condition.Name == governedCondition && strings.Contains(condition.Expression, policy.Quote(namespace))
	})
}

// profiles is the kind of the parameter.
func profiles() *admissionac.ParamKindApplyConfiguration {
	return admissionac.ParamKind().WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("AirlockProfile")
}

// ofTheNamespace gives a policy every profile of the namespace of the request.
func ofTheNamespace(none admissionv1.ParameterNotFoundActionType) *admissionac.ParamRefApplyConfiguration {
	return admissionac.ParamRef().WithSelector(metav1ac.LabelSelector()).WithParameterNotFoundAction(none)
}

var (
	creates = []admissionv1.OperationType{admissionv1.Create}
	updates = []admissionv1.OperationType{admissionv1.Update}
	changes = []admissionv1.OperationType{admissionv1.Create, admissionv1.Update}
	writes  = []admissionv1.OperationType{admissionv1.Create, admissionv1.Update, admissionv1.Delete}
)
