// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package authentication

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

// Load reads a configuration and validates it, its expressions included. Unknown and duplicate fields are errors, as for kube-apiserver.
func Load(content []byte) (*apiserver.AuthenticationConfiguration, error) {
	scheme := runtime.NewScheme()
	install.Install(scheme)
	codecs := serializer.NewCodecFactory(scheme, serializer.EnableStrict)
	object, err := runtime.Decode(codecs.UniversalDecoder(), content)
	if err != nil {
		return nil, fmt.Errorf("read the authentication configuration: %w", err)
	}
	configuration, ok := object.(*apiserver.AuthenticationConfiguration)
	if !ok {
		return nil, fmt.Errorf("read the authentication configuration: it is a %T", object)
	}
	problems := validation.ValidateAuthenticationConfiguration(authenticationcel.NewDefaultCompiler(), configuration, nil)
	if err := problems.ToAggregate(); err != nil {
		return nil, fmt.Errorf("validate the authentication configuration: %w", err)
	}
	return configuration, nil
}
