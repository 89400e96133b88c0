// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package people

import (
	"cmp"
	"context"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/identity"
	"github.com/labguard/labguard/internal/posture/access"
)

// Proofs learns that claims of an issuer arrive. It has to return at once and to bound what it keeps: a request waits meanwhile.
type Proofs interface {
	// Seen says that a person has come with all claims that the provider of the issuer proves, as the IdentityProvider of this generation says.
	Seen(issuer string, generation int64, at time.Time)
}

// Uses learns of break glass. It has to return at once and to bound what it keeps: an emergency waits meanwhile.
type Uses interface {
	// Used says that a user has gone around the rules of a namespace. All texts fit into a BreakGlassUse.
	Used(namespace, user string, request v1alpha1.BreakGlassRequest)
}

// Config is what the operator's configuration says about people, and who is told what was seen.
type Config struct {
	// User is labguard's own user name. It is a machine that is listed: labguard writes what runs in governed namespaces.
	User string
	// BreakGlassGroup is the group of the emergency; empty is the default one.
	BreakGlassGroup string
	// Machines are the accounts that pass without a login, beside labguard's own.
	Machines []access.Machine
	// Tokens is what a person needs who takes a token of a listed machine. Nil: a multi-factor login of the last 12 hours, enforced.
	Tokens *access.Requirement
	// Proofs and Uses learn what was seen. Nil: nobody does.
	Proofs Proofs
	Uses   Uses
}

// Gate is what both webhooks share.
type Gate struct {
	reader   client.Reader
	clock    clock.PassiveClock
	config   Config
	policies *policies
	records  *records
	unlisted unlisted
	// emergency knows the group of the emergency and nothing else, so that whoever is in it needs no cache that works.
	emergency *access.Policy
}

// New gives a gate that reads LabWorkloads, IdentityProviders and pods from caches. Until Watch has been called it arranges everything for each request
// anew, and knows no training records.
func New(reader client.Reader, passive clock.PassiveClock, config Config) *Gate {
	return &Gate{
		reader: reader, clock: passive, config: config, policies: newPolicies(reader, config), records: newRecords(),
		emergency: access.Arrange(access.Settings{BreakGlassGroup: config.BreakGlassGroup}),
	}
}

// +kubebuilder:rbac:groups=labguard.dev,resources=labworkloads;identityproviders;trainingrecords,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch

// Watch learns of changes from the informers that the reader reads from.
func (g *Gate) Watch(ctx context.Context, informers cache.Informers) error {
	if err := g.policies.watch(ctx, informers); err != nil {
		return err
	}
	return g.records.watch(ctx, informers)
}

// Validating decides. Serve it with Hook.
func (g *Gate) Validating() admission.Handler {
	return admission.HandlerFunc(func(ctx context.Context, request admission.Request) admission.Response {
		now := g.clock.Now()
		input := access.Input{Request: classify(&request), Now: now}
		known, err := g.policies.of(ctx, request.Namespace, now)
		if err != nil {
			return g.withoutPolicy(ctx, &request, input, err)
		}
		input.Policy, input.Person, input.Missing = known.policy, identity.Recognise(request.UserInfo, known.sources, now), g.records.missing(now)
		input.Request.Pod = g.labels(ctx, &input.Request)
		answer := access.Decide(input)
		g.unlisted.note(ctx, &request, &answer, now)
		if answer.Reason == access.ReasonBreakGlass {
			g.used(ctx, &request, now)
		}
		if generation, proven := known.proves(&input.Person); proven && g.config.Proofs != nil {
			g.config.Proofs.Seen(input.Person.Issuer, generation, now)
		}
		return answered(ctx, answer)
	})
}

// withoutPolicy answers while labguard does not know what the cluster asks for. Whoever is never asked needs no policy; for all others the call fails.
func (g *Gate) withoutPolicy(ctx context.Context, request *admission.Request, input access.Input, cause error) admission.Response {
	input.Policy, input.Person = g.emergency, identity.Recognise(request.UserInfo, nil, input.Now)
	switch answer := access.Decide(input); answer.Reason {
	case access.ReasonBreakGlass:
		g.used(ctx, request, input.Now)
		return answered(ctx, answer)
	case access.ReasonNeverAsked:
		return answered(ctx, answer)
	default:
		return unanswered(cause)
	}
}

// BreakGlass lets everything through, and notes what members of the group of the emergency do. Serve it with Hook.
func (g *Gate) BreakGlass() admission.Handler {
	return admission.HandlerFunc(func(ctx context.Context, request admission.Request) admission.Response {
		now := g.clock.Now()
		answer := access.Decide(access.Input{
			Policy: g.emergency, Person: identity.Recognise(request.UserInfo, nil, now), Request: classify(&request), Now: now,
		})
		if answer.Reason != access.ReasonBreakGlass {
			return observed(ctx) // somebody else than the configuration of the webhook says: nothing was gone around
		}
		g.used(ctx, &request, now)
		return answered(ctx, answer)
	})
}

// used tells of break glass. A dry run goes around nothing, and may leave nothing behind (sideEffects: NoneOnDryRun).
func (g *Gate) used(ctx context.Context, request *admission.Request, now time.Time) {
	if g.config.Uses != nil && !dryRun(request) && g.about(ctx, request, now) {
		g.config.Uses.Used(request.Namespace, cmp.Or(fitting(request.UserInfo.Username, maxUser), unnamed), breakGlassRequest(request, now))
	}
}

// about says whether rules of labguard's are about a request. The API server asks about no other; whoever else reaches the port could fill any namespace with
// records. While labguard does not know, they may be.
func (g *Gate) about(ctx context.Context, request *admission.Request, now time.Time) bool {
	switch classify(request).Cover {
	case access.Token, access.Platform:
		return true
	default:
		known, err := g.policies.of(ctx, request.Namespace, now)
		return err != nil || known.policy.Asks(request.Namespace)
	}
}
