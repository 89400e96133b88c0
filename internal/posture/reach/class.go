// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reach

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// class is pods that no policy at hand can tell from each other: a Deployment's pods are one class, however many there are.
type class struct {
	// pod stands for all: the first by namespace and name.
	pod     *Pod
	members []*Pod
}

// others says whether the class has a pod besides the one that stands for the other side: a pod reaches itself in any case.
func (c *class) others(side *class) bool {
	return c != side || len(c.members) > 1
}

// features are what policies and Services look at.
type features struct {
	keys   map[string]bool
	blocks []addresses
}

func newFeatures() *features {
	return &features{keys: map[string]bool{}}
}

func (f *features) addSelector(selector labels.Selector) {
	requirements, _ := selector.Requirements()
	for _, requirement := range requirements {
		f.keys[requirement.Key()] = true
	}
}

func (f *features) addPolicies(policies ...policy) {
	for _, p := range policies {
		f.addSelector(p.selector)
		for _, rules := range p.rules {
			for _, r := range rules {
				f.addRule(r)
			}
		}
	}
}

func (f *features) addRule(r rule) {
	for _, one := range r.peers {
		if one.pods == nil {
			if !slices.ContainsFunc(f.blocks, func(known addresses) bool { return slices.Equal(known, one.block) }) {
				f.blocks = append(f.blocks, one.block)
			}
			continue
		}
		f.addSelector(one.pods)
	}
}

// classify groups pods, classes and members in order of namespace and name.
func (f *features) classify(pods []*Pod) []*class {
	keys := make([]string, 0, len(f.keys))
	for key := range f.keys {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	pods = slices.Clone(pods)
	slices.SortFunc(pods, func(a, b *Pod) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	var classes []*class
	known := map[string]*class{}
	for _, pod := range pods {
		mark := f.mark(pod, keys)
		if known[mark] == nil {
			known[mark] = &class{pod: pod}
			classes = append(classes, known[mark])
		}
		known[mark].members = append(known[mark].members, pod)
	}
	return classes
}

// mark is the same for pods that look alike. Values of labels have no line break.
func (f *features) mark(pod *Pod, keys []string) string {
	var mark strings.Builder
	mark.WriteString(pod.Namespace)
	for _, key := range keys {
		mark.WriteByte('\n')
		if value, ok := pod.Labels[key]; ok {
			mark.WriteByte('=')
			mark.WriteString(value)
		}
	}
	mark.WriteByte('\n')
	for _, block := range f.blocks {
		mark.WriteByte(digit(pod.inside(block)))
	}
	v4, v6 := families(pod)
	mark.Write([]byte{digit(pod.HostNetwork), digit(v4), digit(v6)})
	for _, p := range pod.Ports {
		mark.WriteString("\n" + p.Name + ":" + string(p.Protocol) + ":" + strconv.Itoa(int(p.Number)))
	}
	// Two Prometheus annotations, for LosesPath.
	mark.WriteString("\n" + strconv.Quote(pod.Annotations[scrapeAnnotation]) + strconv.Quote(pod.Annotations[scrapePortAnnotation]))
	return mark.String()
}

func digit(yes bool) byte {
	if yes {
		return '1'
	}
	return '0'
}

// families says which kinds of address a pod has.
func families(pod *Pod) (v4, v6 bool) {
	for _, ip := range pod.IPs {
		if ip.Unmap().Is4() {
			v4 = true
		} else {
			v6 = true
		}
	}
	return v4, v6
}
