// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"k8s.io/client-go/util/cert"
	"sigs.k8s.io/yaml"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/desired/authentication"
)

// maxProviderFile is how large the file of an IdentityProvider or of certificates may be.
const maxProviderFile = 1 << 20

func newAuthentication(p *plugin) *cobra.Command {
	var file, authority string
	var audiences []string
	command := &cobra.Command{
		Use:   "authentication PROVIDER... --audience CLIENT-ID",
		Short: "what the API server has to be told about identity providers",
		Long: "Prints an AuthenticationConfiguration for the API server (--authentication-config) with an entry for each IdentityProvider, so that the\n" +
			"claims that it proves arrive where labguard looks for them. The user name is the issuer, # and the subject. If there is such a file\n" +
			"already, put the entries under its jwt. Groups are not mapped: add claimMappings.groups, with a prefix, if your RBAC needs them.\n" +
			"docs/identity-providers.md says what is known of some products.",
		Example: "  kubectl labguard authentication lab-login --audience kubernetes\n" +
			"  kubectl labguard authentication -f identity-provider.yaml --audience kubernetes --certificate-authority ca.pem",
		RunE: func(command *cobra.Command, names []string) error {
			client, err := p.clientOf(audiences, authority)
			if err != nil {
				return err
			}
			var providers []v1alpha1.IdentityProviderSpec
			switch {
			case file != "" && len(names) > 0:
				return errors.New("name providers of the cluster or a file with -f, and not both")
			case file != "":
				providers, err = p.providerInFile(file)
			case len(names) > 0:
				providers, err = p.providersOfCluster(command.Context(), names)
			default:
				return errors.New("name an IdentityProvider, or a file that has one with -f")
			}
			if err != nil {
				return err
			}
			return p.printAuthentication(client, providers)
		},
	}
	command.Flags().StringVarP(&file, "filename", "f", "", "a file with one IdentityProvider, for a cluster that is not there yet; - for standard input")
	command.Flags().StringArrayVar(&audiences, "audience", nil, "the client ID whose tokens the API server takes; may be given several times")
	command.Flags().StringVar(&authority, "certificate-authority", "", "file of the certificates that vouch for the provider (default: those of the API server's machine)")
	return command
}

func (p *plugin) clientOf(audiences []string, authority string) (authentication.Client, error) {
	if len(audiences) == 0 {
		return authentication.Client{}, errors.New("say which client ID the tokens are for with --audience")
	}
	seen := map[string]bool{}
	for _, audience := range audiences {
		if audience == "" || seen[audience] {
			return authentication.Client{}, errors.New("an audience is empty or there twice")
		}
		seen[audience] = true
	}
	client := authentication.Client{Audiences: audiences}
	if authority == "" {
		return client, nil
	}
	text, err := p.readSmall(authority)
	if err != nil {
		return authentication.Client{}, err
	}
	if _, err := cert.ParseCertsPEM(text); err != nil {
		return authentication.Client{}, fmt.Errorf("%s has no certificates in PEM: %w", authority, err)
	}
	client.CertificateAuthority = string(text)
	return client, nil
}

func (p *plugin) readSmall(name string) ([]byte, error) {
	file, err := p.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxProviderFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxProviderFile {
		return nil, fmt.Errorf("%s is larger than 1 MiB", name)
	}
	return text, nil
}

func (p *plugin) providerInFile(name string) ([]v1alpha1.IdentityProviderSpec, error) {
	text, err := p.readSmall(name)
	if err != nil {
		return nil, err
	}
	var provider v1alpha1.IdentityProvider
	if err := yaml.UnmarshalStrict(text, &provider); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if provider.GroupVersionKind() != v1alpha1.GroupVersion.WithKind("IdentityProvider") || provider.Spec.Issuer == "" {
		return nil, fmt.Errorf("%s is no IdentityProvider of %s with an issuer", name, v1alpha1.GroupVersion)
	}
	return []v1alpha1.IdentityProviderSpec{provider.Spec}, nil
}

func (p *plugin) providersOfCluster(ctx context.Context, names []string) ([]v1alpha1.IdentityProviderSpec, error) {
	config, err := p.config()
	if err != nil {
		return nil, err
	}
	api, err := newLabguardAPI(config)
	if err != nil {
		return nil, err
	}
	providers := make([]v1alpha1.IdentityProviderSpec, 0, len(names))
	for _, name := range names {
		var provider v1alpha1.IdentityProvider
		if err := api.Get().Resource("identityproviders").Name(name).Do(ctx).Into(&provider); err != nil {
			return nil, advise("get", "identityproviders", "", err)
		}
		providers = append(providers, provider.Spec)
	}
	return providers, nil
}

func (p *plugin) printAuthentication(client authentication.Client, providers []v1alpha1.IdentityProviderSpec) error {
	issuers := map[string]bool{}
	for _, provider := range providers {
		if issuers[provider.Issuer] {
			return fmt.Errorf("two providers are of the issuer %s, and the API server takes one", provider.Issuer)
		}
		issuers[provider.Issuer] = true
	}
	text, err := yaml.Marshal(authentication.File(client, providers...))
	if err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	_, err = p.Out.Write(text)
	return err
}
