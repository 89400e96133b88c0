// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package reliability

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// errDead is what every call of a process that was stopped gets.
var errDead = errors.New("the process is dead")

// verdict is what happens to a call. The zero value lets it through.
type verdict struct {
	// err is what the caller gets, whatever the server says.
	err error
	// sent says that the call reaches the server although err is not nil.
	sent bool
}

// A hook looks at each call before it is made.
type hook func(Call) verdict

// request is a call and how to make it.
type request struct {
	call Call
	// make sends it and fills the caller's object.
	make func() error
	// blind sends it and leaves the caller's object as it is.
	blind func() error
}

// tap is the client that reconcilers of one process get.
type tap struct {
	client.WithWatch
	mapper meta.RESTMapper
}

// RESTMapper fails for a kind for as long as calls for it fail with no match.
func (t tap) RESTMapper() meta.RESTMapper { return t.mapper }

// newTap wraps inner so that every call of the process passes p.do.
func newTap(inner client.WithWatch, p *process) client.Client {
	funcs := interceptor.Funcs{
		Get: p.get, List: p.list,
		Create: p.create, Update: p.update, Patch: p.patch, Apply: p.apply, Delete: p.delete, DeleteAllOf: p.deleteAllOf,
		SubResourceGet: p.subGet, SubResourceCreate: p.subCreate, SubResourceUpdate: p.subUpdate,
		SubResourcePatch: p.subPatch, SubResourceApply: p.subApply,
	}
	wrapped := interceptor.NewClient(inner, funcs)
	return tap{WithWatch: wrapped, mapper: mapper{RESTMapper: inner.RESTMapper(), missing: &p.missing}}
}

// mapper is a RESTMapper to which some kinds are not known.
type mapper struct {
	meta.RESTMapper
	missing *kindSet
}

// RESTMapping fails with NoKindMatchError for a missing kind.
func (m mapper) RESTMapping(gk schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if m.missing.has(gk) {
		return nil, &meta.NoKindMatchError{GroupKind: gk, SearchedVersions: versions}
	}
	return m.RESTMapper.RESTMapping(gk, versions...)
}

// RESTMappings fails with NoKindMatchError for a missing kind.
func (m mapper) RESTMappings(gk schema.GroupKind, versions ...string) ([]*meta.RESTMapping, error) {
	if m.missing.has(gk) {
		return nil, &meta.NoKindMatchError{GroupKind: gk, SearchedVersions: versions}
	}
	return m.RESTMapper.RESTMappings(gk, versions...)
}

func (p *process) call(verb Verb, c client.Client, obj runtime.Object, key client.ObjectKey) (Call, error) {
	gvk, err := apiutil.GVKForObject(obj, c.Scheme())
	if err != nil {
		return Call{}, fmt.Errorf("identify %T: %w", obj, err)
	}
	return Call{Verb: verb, Kind: gvk, Key: key}, nil
}

func (p *process) get(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	call, err := p.call(VerbGet, c, obj, key)
	if err != nil {
		return err
	}
	read := func() error {
		if view := p.trial.view(); view != nil {
			return view.get(ctx, c, call.Kind, key, obj, opts...)
		}
		return c.Get(ctx, key, obj, opts...)
	}
	return p.do(ctx, request{call: call, make: read})
}

func (p *process) list(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
	call, err := p.call(VerbList, c, list, client.ObjectKey{})
	if err != nil {
		return err
	}
	call.Kind = itemKind(call.Kind)
	read := func() error {
		if view := p.trial.view(); view != nil {
			return view.list(ctx, c, call.Kind, list, opts...)
		}
		return c.List(ctx, list, opts...)
	}
	return p.do(ctx, request{call: call, make: read})
}

// write is every write of an object; send makes the call with a given object.
func (p *process) write(ctx context.Context, c client.Client, call Call, obj client.Object, dryRun []string, send func(client.Object) error) error {
	named, err := p.call(call.Verb, c, obj, client.ObjectKeyFromObject(obj))
	if err != nil {
		return err
	}
	call.Kind, call.Key, call.DryRun = named.Kind, named.Key, len(dryRun) > 0
	if call.Key.Name == "" {
		call.Key.Name = obj.GetGenerateName()
	}
	really := func(o client.Object) error {
		err := send(o)
		if err == nil && o.GetGenerateName() != "" {
			p.trial.named(o)
		}
		return err
	}
	return p.do(ctx, request{
		call: call,
		make: func() error { return really(obj) },
		blind: func() error {
			unseen, ok := obj.DeepCopyObject().(client.Object)
			if !ok {
				return fmt.Errorf("the copy of %T is no object", obj)
			}
			return really(unseen)
		},
	})
}

func (p *process) create(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
	options := (&client.CreateOptions{}).ApplyOptions(opts)
	return p.write(ctx, c, Call{Verb: VerbCreate}, obj, options.DryRun, func(o client.Object) error {
		return c.Create(ctx, o, opts...)
	})
}

func (p *process) update(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.UpdateOption) error {
	options := (&client.UpdateOptions{}).ApplyOptions(opts)
	return p.write(ctx, c, Call{Verb: VerbUpdate}, obj, options.DryRun, func(o client.Object) error {
		return c.Update(ctx, o, opts...)
	})
}

func (p *process) patch(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
	options := (&client.PatchOptions{}).ApplyOptions(opts)
	return p.write(ctx, c, Call{Verb: VerbPatch}, obj, options.DryRun, func(o client.Object) error {
		return c.Patch(ctx, o, patch, opts...)
	})
}

func (p *process) delete(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteOption) error {
	options := (&client.DeleteOptions{}).ApplyOptions(opts)
	return p.write(ctx, c, Call{Verb: VerbDelete}, obj, options.DryRun, func(o client.Object) error {
		return c.Delete(ctx, o, opts...)
	})
}

func (p *process) deleteAllOf(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.DeleteAllOfOption) error {
	options := (&client.DeleteAllOfOptions{}).ApplyOptions(opts)
	return p.write(ctx, c, Call{Verb: VerbDeleteCollection}, obj, options.DryRun, func(o client.Object) error {
		return c.DeleteAllOf(ctx, o, opts...)
	})
}

func (p *process) apply(ctx context.Context, c client.WithWatch, obj runtime.ApplyConfiguration, opts ...client.ApplyOption) error {
	options := (&client.ApplyOptions{}).ApplyOptions(opts)
	return p.applyConfiguration(ctx, "", obj, options.DryRun, func(o runtime.ApplyConfiguration) error {
		return c.Apply(ctx, o, opts...)
	})
}

func (p *process) applyConfiguration(ctx context.Context, sub string, obj runtime.ApplyConfiguration, dryRun []string,
	send func(runtime.ApplyConfiguration) error,
) error {
	kind, key, err := identify(obj)
	if err != nil {
		return err
	}
	return p.do(ctx, request{
		call: Call{Verb: VerbApply, Kind: kind, Subresource: sub, Key: key, DryRun: len(dryRun) > 0},
		make: func() error { return send(obj) },
		blind: func() error {
			unseen, err := copyConfiguration(obj)
			if err != nil {
				return err
			}
			return send(unseen)
		},
	})
}

func (p *process) subGet(ctx context.Context, c client.Client, sub string, obj, body client.Object, opts ...client.SubResourceGetOption) error {
	call, err := p.call(VerbGet, c, obj, client.ObjectKeyFromObject(obj))
	if err != nil {
		return err
	}
	call.Subresource = sub
	return p.do(ctx, request{call: call, make: func() error { return c.SubResource(sub).Get(ctx, obj, body, opts...) }})
}

func (p *process) subCreate(ctx context.Context, c client.Client, sub string, obj, body client.Object, opts ...client.SubResourceCreateOption) error {
	options := (&client.SubResourceCreateOptions{}).ApplyOptions(opts)
	return p.write(ctx, c, Call{Verb: VerbCreate, Subresource: sub}, obj, options.DryRun, func(o client.Object) error {
		return c.SubResource(sub).Create(ctx, o, body, opts...)
	})
}

func (p *process) subUpdate(ctx context.Context, c client.Client, sub string, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	options := (&client.SubResourceUpdateOptions{}).ApplyOptions(opts)
	return p.write(ctx, c, Call{Verb: VerbUpdate, Subresource: sub}, obj, options.DryRun, func(o client.Object) error {
		return c.SubResource(sub).Update(ctx, o, opts...)
	})
}

func (p *process) subPatch(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption) error {
	options := (&client.SubResourcePatchOptions{}).ApplyOptions(opts)
	return p.write(ctx, c, Call{Verb: VerbPatch, Subresource: sub}, obj, options.DryRun, func(o client.Object) error {
		return c.SubResource(sub).Patch(ctx, o, patch, opts...)
	})
}

func (p *process) subApply(ctx context.Context, c client.Client, sub string, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption) error {
	options := (&client.SubResourceApplyOptions{}).ApplyOpts(opts)
	return p.applyConfiguration(ctx, sub, obj, options.DryRun, func(o runtime.ApplyConfiguration) error {
		return c.SubResource(sub).Apply(ctx, o, opts...)
	})
}
