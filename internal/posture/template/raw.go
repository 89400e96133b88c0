// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package template

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"

	"github.com/labguard/labguard/api/v1alpha1"
)

// rawRoot is what is read of an object's JSON: the same as FromObject reads of the object.
type rawRoot struct {
	metav1.TypeMeta
	metav1.ObjectMeta
	// podMeta and pod belong to the pods.
	podMeta metav1.ObjectMeta
	pod     rawPod
}

type rawPod struct {
	initContainers, containers, volumes []namedReference
	nodeSelector                        map[string]string
	serviceAccount                      string
	gated                               bool
	pullSecrets                         []string
}

// namedReference is a container or a volume with its image.
type namedReference struct{ name, reference string }

// above are the fields between the object and the object that has the metadata and the spec of the pods, by kind.
func above(kind string) []string {
	switch kind {
	case "Pod":
		return nil
	case "CronJob":
		return []string{"spec", "jobTemplate", "spec", "template"}
	default:
		return []string{"spec", "template"}
	}
}

func (r *rawRoot) read(kind string, raw []byte) error {
	c := newCursor(raw)
	if err := c.object(func(key string) error {
		switch key {
		case "apiVersion":
			return c.text(&r.APIVersion)
		case "kind":
			return c.text(&r.Kind)
		case "metadata":
			return readMeta(c, &r.ObjectMeta)
		case "spec":
			if kind == "Pod" {
				return r.pod.read(c)
			}
			return r.descend(c, above(kind)[1:])
		default:
			return c.jump()
		}
	}); err != nil {
		return err
	}
	if kind == "Pod" {
		r.podMeta = r.ObjectMeta
	}
	return c.end()
}

// descend reads the template of the pods that lies under a path.
func (r *rawRoot) descend(c *cursor, path []string) error {
	return c.object(func(key string) error {
		switch {
		case len(path) > 0 && key == path[0]:
			return r.descend(c, path[1:])
		case len(path) == 0 && key == "metadata":
			return readMeta(c, &r.podMeta)
		case len(path) == 0 && key == "spec":
			return r.pod.read(c)
		default:
			return c.jump()
		}
	})
}

// readMeta reads metadata without its managed fields.
func readMeta(c *cursor, meta *metav1.ObjectMeta) error {
	rest := []byte{'{'}
	err := c.object(func(key string) (err error) {
		switch key {
		case "name":
			return c.text(&meta.Name)
		case "namespace":
			return c.text(&meta.Namespace)
		case "labels":
			meta.Labels, err = c.texts()
			return err
		case "annotations":
			meta.Annotations, err = c.texts()
			return err
		case "managedFields":
			return c.jump()
		}
		name, err := json.Marshal(key)
		if err != nil {
			return err
		}
		if len(rest) > 1 {
			rest = append(rest, ',')
		}
		value, err := c.value()
		rest = append(append(append(rest, name...), ':'), value...)
		return err
	})
	if err != nil || len(rest) == 1 {
		return err
	}
	return json.Unmarshal(append(rest, '}'), meta)
}

func (p *rawPod) read(c *cursor) error {
	return c.object(func(key string) (err error) {
		switch key {
		case "initContainers":
			return readAll(c, &p.initContainers, readContainer)
		case "containers":
			return readAll(c, &p.containers, readContainer)
		case "volumes":
			return readAll(c, &p.volumes, readVolume)
		case "imagePullSecrets":
			return readAll(c, &p.pullSecrets, func(c *cursor, name *string) error { return readText(c, "name", name) })
		case "schedulingGates":
			return c.array(func() error {
				var name string
				err := readText(c, "name", &name)
				p.gated = p.gated || name == v1alpha1.SchedulingGate
				return err
			})
		case "nodeSelector":
			p.nodeSelector, err = c.texts()
			return err
		case "serviceAccountName":
			return c.text(&p.serviceAccount)
		default:
			return c.jump()
		}
	})
}

func readAll[T any](c *cursor, target *[]T, read func(*cursor, *T) error) error {
	*target = nil
	return c.array(func() error {
		var one T
		err := read(c, &one)
		*target = append(*target, one)
		return err
	})
}

func readContainer(c *cursor, container *namedReference) error {
	return c.object(func(key string) error {
		switch key {
		case "name":
			return c.text(&container.name)
		case "image":
			return c.text(&container.reference)
		default:
			return c.jump()
		}
	})
}

func readVolume(c *cursor, volume *namedReference) error {
	return c.object(func(key string) error {
		switch key {
		case "name":
			return c.text(&volume.name)
		case "image":
			return readText(c, "reference", &volume.reference)
		default:
			return c.jump()
		}
	})
}

// readText reads one field of an object.
func readText(c *cursor, field string, target *string) error {
	return c.object(func(key string) error {
		if key == field {
			return c.text(target)
		}
		return c.jump()
	})
}

// template is what FromPod gives for the same pod.
func (r *rawRoot) template() Template {
	result := newTemplate(r.podMeta.Labels, r.pod.serviceAccount, r.pod.nodeSelector)
	for _, container := range r.pod.initContainers {
		result.addInit(container.name, container.reference)
	}
	for _, container := range r.pod.containers {
		result.add(container.name, container.reference)
	}
	for _, volume := range r.pod.volumes {
		result.addVolume(volume.name, volume.reference)
	}
	result.PullSecrets, result.Gated = r.pod.pullSecrets, r.pod.gated
	return result
}
