// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"

	cmtls "github.com/cert-manager/cert-manager/pkg/server/tls"
	"github.com/cert-manager/cert-manager/pkg/server/tls/authority"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/outcome"
)

const (
	// webhookService is the Service of the webhooks inside the cluster.
	webhookService = "labguard-webhook"
	// authoritySecret holds the authority that signs the serving certificates of the webhooks, in labguard's own namespace.
	authoritySecret = "labguard-webhook-authority"
)

// +kubebuilder:rbac:groups="",namespace=labguard-system,resources=secrets,verbs=create
// +kubebuilder:rbac:groups="",namespace=labguard-system,resources=secrets,resourceNames=labguard-webhook-authority,verbs=get;list;watch;update;patch
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=labguard-system,resources=leases,verbs=get;create;update
// +kubebuilder:rbac:groups="",resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=authentication.k8s.io,resources=tokenreviews,verbs=create
// +kubebuilder:rbac:groups=authorization.k8s.io,resources=subjectaccessreviews,verbs=create

// serving is the TLS of the webhooks: an authority in a Secret that all replicas share, and a leaf in the memory of each. Both rotate by themselves.
type serving struct {
	source  *cmtls.DynamicSource
	reader  client.Reader
	key     client.ObjectKey
	rotated chan event.GenericEvent
	watch   chan struct{}
}

func newServing(config *rest.Config, options *options) *serving {
	keeper := &authority.DynamicAuthority{
		SecretNamespace: options.namespace, SecretName: authoritySecret, CommonName: "labguard-webhook-authority",
		SecretLabels: map[string]string{v1alpha1.ManagedByLabel: v1alpha1.ManagedByValue}, RESTConfig: config,
	}
	s := &serving{
		source:  &cmtls.DynamicSource{DNSNames: options.webhookNames(), Authority: keeper},
		key:     client.ObjectKey{Namespace: options.namespace, Name: authoritySecret},
		rotated: make(chan event.GenericEvent, 1), watch: make(chan struct{}, 1),
	}
	keeper.WatchRotation(s.watch)
	return s
}

// server is the webhook server that serves the leaf of the moment.
func (s *serving) server(options *options) webhook.Server {
	return webhook.NewServer(webhook.Options{
		Host: options.webhookHost, Port: options.webhookPort,
		TLSOpts: []func(*tls.Config){s.secure},
	})
}

// secure has a server serve the leaf of the moment. Metrics have the same one: whoever asks for them shows a token, and has to know to whom.
func (s *serving) secure(config *tls.Config) {
	config.MinVersion = tls.VersionTLS13
	config.GetCertificate = s.source.GetCertificate
}

// Start tells the gate about each new authority.
func (s *serving) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.watch:
			select {
			case s.rotated <- event.GenericEvent{Object: &corev1.Secret{}}:
			default: // one is waiting already
			}
		}
	}
}

// CABundle is the certificate of the authority.
func (s *serving) CABundle(ctx context.Context) ([]byte, error) {
	var secret corev1.Secret
	err := s.reader.Get(ctx, s.key, &secret)
	if client.IgnoreNotFound(err) != nil {
		return nil, fmt.Errorf("get the authority of the webhooks: %w", err)
	}
	bundle := secret.Data[corev1.TLSCertKey]
	if apierrors.IsNotFound(err) || len(bundle) == 0 {
		return nil, &outcome.WaitingError{Reason: v1alpha1.ReasonWaiting, Message: "the authority of the webhooks is being made", After: outcome.Soon}
	}
	return bundle, nil
}

// healthy says whether the webhooks have a certificate to serve.
func (s *serving) healthy(*http.Request) error {
	if !s.source.Healthy() {
		return fmt.Errorf("the webhooks have no serving certificate yet")
	}
	return nil
}
