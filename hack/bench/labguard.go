// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/labguard/labguard/api/v1alpha1"
)

const (
	labguardNamespace = "labguard-system"
	// imageAge is the age of the image, well below the limit of the LabWorkload.
	imageAge = 10 * 24 * time.Hour
)

const labWorkload = `
apiVersion: labguard.dev/v1alpha1
kind: LabWorkload
metadata: {name: lis, namespace: ` + governed + `}
spec:
  selector: {matchLabels: {app: lis}}
  enforcement: Enforce
  images: {maxAge: 2160h}
`

// installLabguard applies what an administrator applies, and makes the namespaces.
func (s *stage) installLabguard(ctx context.Context) error {
	for _, namespace := range []string{labguardNamespace, plain, noop, governed} {
		object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
		if _, err := s.client.CoreV1().Namespaces().Create(ctx, object, metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("create namespace %s: %w", namespace, err)
		}
	}
	return s.kubectl(ctx, "", "apply", "--server-side", "-k", "config/rbac")
}

// push puts an image into the registry, empty but for its date, as nothing runs it.
func (s *stage) push(ctx context.Context) error {
	image, err := mutate.CreatedAt(empty.Image, v1.Time{Time: time.Now().Add(-imageAge).UTC()})
	if err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	digest, err := image.Digest()
	if err != nil {
		return fmt.Errorf("make an image: %w", err)
	}
	s.image = s.registry + "/lab/lis@" + digest.String()
	reference, err := name.ParseReference(s.image, name.Insecure)
	if err != nil {
		return fmt.Errorf("push %s: %w", s.image, err)
	}
	if err := remote.Write(reference, image, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("push %s: %w", s.image, err)
	}
	return nil
}

// startManager runs the manager beside the cluster, under its own ServiceAccount and with no other rights.
func (s *stage) startManager(ctx context.Context) error {
	s.say("starting the manager as system:serviceaccount:%s:labguard", labguardNamespace)
	if err := s.writeAccess(ctx); err != nil {
		return err
	}
	configuration := fmt.Sprintf("registries:\n- {host: %q, insecure: true, allowedAddresses: [127.0.0.0/8]}\n", s.registry)
	if err := os.WriteFile(s.path("configuration.yaml"), []byte(configuration), 0o600); err != nil {
		return fmt.Errorf("write the configuration of labguard: %w", err)
	}
	webhooks, err := freePort(ctx)
	if err != nil {
		return err
	}
	probes, err := freePort(ctx)
	if err != nil {
		return err
	}
	s.manager, err = s.start("manager", exec.CommandContext(context.WithoutCancel(ctx), s.path("manager"),
		"--kubeconfig="+s.path("labguard.kubeconfig"), "--config="+s.path("configuration.yaml"), "--leader-elect=false",
		"--webhook-url=https://localhost:"+webhooks, "--webhook-host=127.0.0.1", "--webhook-port="+webhooks,
		"--metrics-bind-address=0", "--health-probe-bind-address=127.0.0.1:"+probes))
	if err != nil {
		return err
	}
	return s.until(ctx, "the manager is ready", func(ctx context.Context) error {
		if err := s.manager.alive(); err != nil {
			return err
		}
		return answers(ctx, "http://127.0.0.1:"+probes+"/readyz")
	})
}

// writeAccess writes a kubeconfig with a token of the ServiceAccount.
func (s *stage) writeAccess(ctx context.Context) error {
	token, err := s.client.CoreV1().ServiceAccounts(labguardNamespace).CreateToken(ctx, "labguard", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		return fmt.Errorf("request a token of labguard: %w", err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["bench"] = &clientcmdapi.Cluster{
		Server: s.access.Host, CertificateAuthorityData: s.access.CAData, CertificateAuthority: s.access.CAFile,
	}
	config.AuthInfos["labguard"] = &clientcmdapi.AuthInfo{Token: token.Status.Token}
	config.Contexts["labguard"] = &clientcmdapi.Context{Cluster: "bench", AuthInfo: "labguard"}
	config.CurrentContext = "labguard"
	if err := clientcmd.WriteToFile(*config, s.path("labguard.kubeconfig")); err != nil {
		return fmt.Errorf("write the kubeconfig of labguard: %w", err)
	}
	return nil
}

// govern puts a namespace under labguard and waits until labguard records there what it admits.
func (s *stage) govern(ctx context.Context) error {
	if err := s.kubectl(ctx, labWorkload, "apply", "-f", "-"); err != nil {
		return err
	}
	return s.until(ctx, "labguard admits the image", func(ctx context.Context) error {
		created, err := s.create(ctx, governed)
		if err == nil && created.Annotations[v1alpha1.AdmittedAnnotation] != s.image {
			err = errors.New("it passes unseen")
		}
		return err
	})
}

func answers(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s", url, response.Status)
	}
	_ = response.Body.Close()
	return err
}

func freePort(ctx context.Context) (string, error) {
	var configuration net.ListenConfig
	listener, err := configuration.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return port, nil
}
