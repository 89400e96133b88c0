// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired"
)

// subject is a LabWorkload that there is or is to be, with what belongs to it.
type subject struct {
	*Workload

	// before is the LabWorkload that there is; nil if there is none.
	before   *v1alpha1.LabWorkload
	selector labels.Selector
	roots    []*Root
	pods     []*corev1.Pod
	// withheld says that its ports are told and not written, enforced that those which it has are in force, now or from a day on.
	withheld, enforced bool
}

// planner is one plan in the making.
type planner struct {
	facts    *Facts
	subjects []*subject
	left     []string
}

// selects says whether the subject stands for pods with some labels.
func (s *subject) selects(of map[string]string) bool { return s.selector.Matches(labels.Set(of)) }

// templates are the pod specs of the subject: of what makes pods, and of pods.
func (s *subject) templates() []desired.Pod {
	var found []desired.Pod
	for _, root := range s.roots {
		found = append(found, desired.Pod{Labels: root.Template.Labels, Ports: containerPorts(&root.Template.Spec)})
	}
	for _, pod := range s.pods {
		found = append(found, desired.Pod{Labels: pod.Labels, Ports: containerPorts(&pod.Spec)})
	}
	return found
}

// containerPorts are those of the containers and of the init containers that keep running.
func containerPorts(spec *corev1.PodSpec) []corev1.ContainerPort {
	var ports []corev1.ContainerPort
	for i := range spec.InitContainers {
		if always := spec.InitContainers[i].RestartPolicy; always != nil && *always == corev1.ContainerRestartPolicyAlways && spec.InitContainers[i].Name != airlock {
			ports = append(ports, spec.InitContainers[i].Ports...)
		}
	}
	for i := range spec.Containers {
		ports = append(ports, spec.Containers[i].Ports...)
	}
	return ports
}

// airlock is the container that labguard adds.
const airlock = "airlock"

// arrange finds the LabWorkloads that there are, and makes one for each thing that none of them selects.
func (p *planner) arrange() {
	for i := range p.facts.Workloads {
		lw := &p.facts.Workloads[i]
		if lw.Namespace != p.facts.Namespace || lw.DeletionTimestamp != nil {
			continue
		}
		if selector, err := metav1.LabelSelectorAsSelector(&lw.Spec.Selector); err == nil {
			p.subjects = append(p.subjects, &subject{Workload: &Workload{Name: lw.Name, Manifest: bare(lw), comments: map[string][]string{}}, before: lw, selector: selector})
		}
	}
	slices.SortFunc(p.subjects, func(a, b *subject) int { return cmp.Compare(a.Name, b.Name) })
	roots := make([]*Root, 0, len(p.facts.Roots))
	for i := range p.facts.Roots {
		roots = append(roots, &p.facts.Roots[i])
	}
	slices.SortFunc(roots, func(a, b *Root) int { return cmp.Or(cmp.Compare(a.Name, b.Name), -cmp.Compare(a.Kind, b.Kind)) })
	for _, root := range roots {
		p.take(root)
	}
	for i := range p.facts.Pods {
		p.takePod(&p.facts.Pods[i])
	}
}

// take gives a root to the LabWorkloads that select it, else to a new one.
func (p *planner) take(root *Root) {
	taken := false
	for _, s := range p.subjects {
		if s.selects(root.Template.Labels) {
			s.roots, s.Of, taken = append(s.roots, root), append(s.Of, root.words()), true
		}
	}
	if taken {
		return
	}
	selector := root.selector()
	matcher, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil || matcher.Empty() || !matcher.Matches(labels.Set(root.Template.Labels)) {
		p.left = append(p.left, root.words()+": its pods have no labels by which a LabWorkload could select them: give its template labels")
		return
	}
	shared, by := p.shared(matcher), ""
	if shared != "" {
		if selector, matcher, by = p.narrowed(root, selector); by == "" {
			p.left = append(p.left, root.words()+": its selector also selects "+shared+", and no label of its template tells them apart: give it one of its own")
			return
		}
	}
	lw := &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: p.facts.Namespace, Name: p.free(root)}, Spec: v1alpha1.LabWorkloadSpec{Selector: selector, Enforcement: v1alpha1.EnforcementAudit}}
	lw.APIVersion, lw.Kind = v1alpha1.GroupVersion.String(), "LabWorkload"
	s := &subject{Workload: &Workload{Name: lw.Name, New: true, Manifest: lw, comments: map[string][]string{}}, selector: matcher}
	s.roots, s.Of = []*Root{root}, []string{root.words()}
	s.comment("spec.selector", "the selector of "+root.words())
	if root.Selector == nil {
		s.comments["spec.selector"] = []string{"the labels of the pods of " + root.words()}
	}
	if by != "" {
		s.comment("spec.selector", "with label "+by+": else it would also select "+shared)
	}
	p.subjects = append(p.subjects, s)
}

func (p *planner) takePod(pod *corev1.Pod) {
	if pod.Namespace != p.facts.Namespace || ended(pod) {
		return
	}
	taken := false
	for _, s := range p.subjects {
		if s.selects(pod.Labels) {
			s.pods, taken = append(s.pods, pod), true
		}
	}
	if !taken {
		p.left = append(p.left, "pod "+pod.Name+": "+ownerWords(pod)+"; a LabWorkload that selects its labels would stand for it")
	}
}

func ownerWords(pod *corev1.Pod) string {
	if owner := metav1.GetControllerOfNoCopy(pod); owner != nil {
		return "of " + strings.ToLower(owner.Kind) + "/" + owner.Name
	}
	return "nothing makes it anew"
}

func ended(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

// free is a name that no LabWorkload of the namespace has.
func (p *planner) free(root *Root) string {
	const longest = 200
	taken := func(name string) bool {
		return slices.ContainsFunc(p.subjects, func(s *subject) bool { return s.Name == name })
	}
	name := strings.TrimRight(root.Name[:min(len(root.Name), longest-20)], "-.")
	if taken(name) {
		name += "-" + strings.ToLower(root.Kind)
	}
	for taken(name) {
		name += "-x"
	}
	return name
}

// makes says whether a pod is one of the root.
func (r *Root) makes(pod *corev1.Pod) bool {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		return false
	}
	if owner.Kind == r.Kind && owner.Name == r.Name {
		return true
	}
	between := map[string]string{"Deployment": "ReplicaSet", "CronJob": "Job"}[r.Kind]
	end := strings.LastIndexByte(owner.Name, '-')
	return owner.Kind == between && end > 0 && owner.Name[:end] == r.Name
}

func (r *Root) words() string { return strings.ToLower(r.Kind) + "/" + r.Name }

// selector is that of the root, or the labels of its pods that do not change.
func (r *Root) selector() metav1.LabelSelector {
	if r.Selector != nil {
		return *r.Selector.DeepCopy()
	}
	return metav1.LabelSelector{MatchLabels: lasting(r.Template.Labels)}
}

// passing are labels that another pod of the same thing does not have.
var passing = []string{
	"pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index", "controller-uid", "job-name",
	"batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name", "batch.kubernetes.io/job-completion-index", "rollouts-pod-template-hash", v1alpha1.AirlockLabel, v1alpha1.WorkloadLabel,
}

// lasting are the labels of a pod that the next pod of the same thing has too.
func lasting(of map[string]string) map[string]string {
	kept := maps.Clone(of)
	for _, name := range passing {
		delete(kept, name)
	}
	return kept
}

// bare is a LabWorkload as somebody would write it.
func bare(lw *v1alpha1.LabWorkload) *v1alpha1.LabWorkload {
	written := &v1alpha1.LabWorkload{ObjectMeta: metav1.ObjectMeta{Namespace: lw.Namespace, Name: lw.Name, Labels: lw.Labels}, Spec: *lw.Spec.DeepCopy()}
	written.APIVersion, written.Kind = v1alpha1.GroupVersion.String(), "LabWorkload"
	for name, value := range lw.Annotations {
		if name == corev1.LastAppliedConfigAnnotation || strings.HasPrefix(name, "labguard.dev/") {
			continue
		}
		if written.Annotations == nil {
			written.Annotations = map[string]string{}
		}
		written.Annotations[name] = value
	}
	return written
}

// comment says of a field which evidence there is.
func (w *Workload) comment(path, text string) {
	if !slices.Contains(w.comments[path], text) {
		w.comments[path] = append(w.comments[path], text)
	}
}
