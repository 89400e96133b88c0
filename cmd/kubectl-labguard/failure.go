// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// Exit codes beside 0. An answer that is not as it should be is told apart from none.
const (
	exitBad        = 1
	exitUnanswered = 2
)

// unansweredError says that a question could not be answered, or not wholly, as without permission or without a cluster.
type unansweredError struct{ cause error }

func (e *unansweredError) Error() string { return e.cause.Error() }

func (e *unansweredError) Unwrap() error { return e.cause }

func exitCode(err error) int {
	if _, unanswered := errors.AsType[*unansweredError](err); unanswered {
		return exitUnanswered
	}
	return exitBad
}

var errNoKubeconfig = errors.New("there is no kubeconfig, so there is no cluster to ask: name one with --kubeconfig or KUBECONFIG, or put it at ~/.kube/config")

// nowhere says whether the cluster is the one that client-go makes up where nobody names one.
func (p *plugin) nowhere(config *rest.Config) bool {
	raw, err := p.flags.ToRawKubeConfigLoader().RawConfig()
	return err == nil && len(raw.Clusters) == 0 && config.Host == "http://localhost:8080" && os.Getenv("KUBERNETES_MASTER") == ""
}

// roles are the ClusterRoles of labguard that give the right to read a kind.
var roles = map[string]string{
	"labworkloads": "labguard-view", "rolloutrecords": "labguard-view", "airlockprofiles": "labguard-view",
	"imagerecords": "labguard-image-inventory", "trainingrecords": "labguard-training-records",
	"breakglassuses": "labguard-view", "identityproviders": "labguard-view",
}

// ofTheCluster are kinds that are in no namespace.
var ofTheCluster = []string{"imagerecords", "trainingrecords", "identityproviders", "namespaces"}

// roleFor is the ClusterRole that gives a right.
func roleFor(verb, resource string) string {
	role, own := roles[resource]
	switch {
	case verb == "acknowledge":
		return "labguard-acknowledger"
	case own:
		return role
	default:
		return "view"
	}
}

// unread says why something could not be read, and what helps, where the question is then without an answer.
func unread(verb, resource, namespace string, err error) error {
	return &unansweredError{advise(verb, resource, namespace, err)}
}

// withoutRight is how the API server says that a right is missing. A refusal of an admission policy has the same code, and no ClusterRole helps.
var withoutRight = regexp.MustCompile(`User "[^"]*" cannot [a-z]+ resource`)

// advise says why something did not go, and what helps.
func advise(verb, resource, namespace string, err error) error {
	where, binding := " of all namespaces", "for the whole cluster, with a ClusterRoleBinding"
	switch {
	case namespace != "":
		where, binding = " in namespace "+namespace, "there"
	case slices.Contains(ofTheCluster, resource):
		where = ""
	}
	var unreachable *url.Error
	switch {
	case apierrors.IsForbidden(err) && withoutRight.MatchString(err.Error()):
		return fmt.Errorf("you may not %s %s%s: have somebody bind the ClusterRole %s to you %s: %w", verb, resource, where, roleFor(verb, resource), binding, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the API server does not know you: log in again, or choose another user with --user or --context: %w", err)
	case roles[resource] != "" && apierrors.IsNotFound(err) && (verb == "list" || unserved(err)):
		return fmt.Errorf("the cluster does not know %s.labguard.dev: labguard is not installed there; install it, or choose another cluster with --context", resource)
	case roles[resource] == "" && apierrors.IsNotFound(err) && unserved(err):
		return fmt.Errorf("the cluster serves no %s", resource)
	case errors.As(err, &unreachable):
		return fmt.Errorf("the API server does not answer: %w", err)
	default:
		return fmt.Errorf("%s %s%s: %w", verb, resource, where, err)
	}
}

// unserved says whether a 404 is about the kind and not about an object: the API server has no such path.
func unserved(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Type == metav1.CauseTypeUnexpectedServerResponse {
			return true
		}
	}
	return false
}
