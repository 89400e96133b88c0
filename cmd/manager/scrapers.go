// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	authenticationclient "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationclient "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// scrapersQPS and scrapersBurst bound how often strangers make labguard ask the API server who they are.
	scrapersQPS, scrapersBurst = 5, 10
	// scrapersWait is how long one of them waits for the answer.
	scrapersWait = 10 * time.Second
)

// onlyScrapers lets those get the metrics whose token the API server knows and who may get the path (RBAC: nonResourceURLs). It asks each
// time, so that a right that was taken away is gone. The filter of controller-runtime does the same with the code of an API server, which
// keeps the linker from leaving out what nobody calls: half of the program, and with it a third of the memory.
func onlyScrapers(config *rest.Config, httpClient *http.Client) (metricsserver.Filter, error) {
	config = rest.CopyConfig(config)
	config.QPS, config.Burst = scrapersQPS, scrapersBurst
	tokens, err := authenticationclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("prepare to ask whose a token is: %w", err)
	}
	rights, err := authorizationclient.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, fmt.Errorf("prepare to ask for a right: %w", err)
	}
	doorkeeper := &scrapers{tokens: tokens.TokenReviews(), rights: rights.SubjectAccessReviews()}
	return doorkeeper.filter, nil
}

type scrapers struct {
	tokens authenticationclient.TokenReviewInterface
	rights authorizationclient.SubjectAccessReviewInterface
}

func (s *scrapers) filter(log logr.Logger, metrics http.Handler) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		ctx, cancel := context.WithTimeout(request.Context(), scrapersWait)
		defer cancel()
		code, err := s.admit(ctx, request)
		if err != nil {
			log.Error(err, "Nobody knows whether this may get the metrics")
		}
		if code != http.StatusOK {
			http.Error(w, http.StatusText(code), code)
			return
		}
		metrics.ServeHTTP(w, request)
	}), nil
}

// admit answers with StatusOK, StatusUnauthorized, StatusForbidden, or an error and StatusInternalServerError.
func (s *scrapers) admit(ctx context.Context, request *http.Request) (int, error) {
	scheme, token, found := strings.Cut(request.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !found || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return http.StatusUnauthorized, nil
	}
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
	review, err := s.tokens.Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return http.StatusInternalServerError, fmt.Errorf("ask whose a token is: %w", err)
	}
	if !review.Status.Authenticated || review.Status.Error != "" {
		return http.StatusUnauthorized, nil
	}
	user := review.Status.User
	question := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: map[string]authorizationv1.ExtraValue{},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: request.URL.Path, Verb: strings.ToLower(request.Method)},
	}}
	for key, values := range user.Extra {
		question.Spec.Extra[key] = authorizationv1.ExtraValue(values)
	}
	answer, err := s.rights.Create(ctx, question, metav1.CreateOptions{})
	if err != nil {
		return http.StatusInternalServerError, fmt.Errorf("ask for a right: %w", err)
	}
	if !answer.Status.Allowed {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}
