// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package enforcement

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/posture"
	"github.com/labguard/labguard/internal/posture/template"
)

// canaryTimeout bounds one request of the canary.
const canaryTimeout = 10 * time.Second

// Proof is what one round of the canary has shown. The zero value has shown nothing.
type Proof struct {
	// Reason is Proven, ProvenOnSampledServers (one new connection answered; several of them count), EnforcementNotProven or CanaryBlocked.
	Reason string
	// Detail is what the API server said instead.
	Detail string
}

// Canary sends dry runs that only labguard's own webhooks know to answer: an UPDATE of an existing root workload that adds a nonce to the hold
// annotation, which passes the policies of others and changes nothing. Proof is the nonce in a warning of the mutating webhook and in the
// refusal of the validating one. A refusal alone is ambiguous: others refuse as well.
type Canary struct {
	// Config is labguard's own connection to the API server.
	Config *rest.Config
	// Reader finds the addresses of the API servers.
	Reader client.Reader
}

// Prove sends one round: to every address of the API servers, or on one new connection where these are not known or cannot be reached one by one.
func (c *Canary) Prove(ctx context.Context, namespace string, root *template.Root) (Proof, error) {
	addresses, err := c.addresses(ctx)
	if err != nil {
		return Proof{}, err
	}
	reached := len(addresses) > 0
	for _, address := range addresses {
		proof, err := c.ask(ctx, namespace, root, address)
		if err != nil {
			reached = false
			break
		}
		if proof.Reason != v1alpha1.ReasonProven {
			return proof, nil
		}
	}
	if reached {
		return Proof{Reason: v1alpha1.ReasonProven}, nil
	}
	proof, err := c.ask(ctx, namespace, root, "")
	if err == nil && proof.Reason == v1alpha1.ReasonProven {
		proof.Reason = v1alpha1.ReasonProvenOnSampledServers
	}
	return proof, err
}

// addresses are those of the EndpointSlice default/kubernetes, as host:port.
func (c *Canary) addresses(ctx context.Context) ([]string, error) {
	var slicesOf discoveryv1.EndpointSliceList
	err := c.Reader.List(ctx, &slicesOf, client.InNamespace(metav1.NamespaceDefault), client.MatchingLabels{discoveryv1.LabelServiceName: "kubernetes"})
	if err != nil {
		return nil, fmt.Errorf("list the endpoints of the API servers: %w", err)
	}
	var addresses []string
	for i := range slicesOf.Items {
		for _, port := range slicesOf.Items[i].Ports {
			if port.Port == nil {
				continue
			}
			for _, endpoint := range slicesOf.Items[i].Endpoints {
				for _, address := range endpoint.Addresses {
					if _, err := netip.ParseAddr(address); err == nil {
						addresses = append(addresses, net.JoinHostPort(address, strconv.Itoa(int(*port.Port))))
					}
				}
			}
		}
	}
	slices.Sort(addresses)
	return slices.Compact(addresses), nil
}

// ask sends one canary on a new connection, to an address or to wherever the configuration leads. An error says that no API server answered.
func (c *Canary) ask(ctx context.Context, namespace string, root *template.Root, address string) (Proof, error) {
	ctx, cancel := context.WithTimeout(ctx, canaryTimeout)
	defer cancel()
	heard := &warnings{}
	writer, closeConnection, err := c.connect(address, heard)
	if err != nil {
		return Proof{}, err
	}
	defer closeConnection()
	nonce := string(uuid.NewUUID())
	answer := send(ctx, writer, namespace, root, nonce)
	var status apierrors.APIStatus
	if answer != nil && !errors.As(answer, &status) {
		return Proof{}, fmt.Errorf("send the canary: %w", answer)
	}
	return judge(nonce, heard.texts(), answer), nil
}

// judge says what the answer to a canary proves. Its detail is the same for every nonce, so that it is written once.
func judge(nonce string, heard []string, answer error) Proof {
	text := posture.CanaryText(nonce)
	warned := slices.ContainsFunc(heard, func(warning string) bool { return strings.Contains(warning, text) })
	refused := answer != nil && strings.Contains(answer.Error(), text)
	switch {
	case answer == nil:
		return Proof{Reason: v1alpha1.ReasonEnforcementNotProven, Detail: "the API server does not call the webhooks yet"}
	case warned && refused:
		return Proof{Reason: v1alpha1.ReasonProven}
	case refused:
		return Proof{Reason: v1alpha1.ReasonEnforcementNotProven, Detail: "the API server does not call the mutating webhook yet"}
	case apierrors.IsNotFound(answer):
		return Proof{Reason: v1alpha1.ReasonEnforcementNotProven, Detail: "the object of the canary is gone"}
	default:
		return Proof{Reason: v1alpha1.ReasonCanaryBlocked, Detail: strings.ReplaceAll(answer.Error(), nonce, "<nonce>")}
	}
}

func send(ctx context.Context, writer client.Client, namespace string, root *template.Root, nonce string) error {
	if root == nil {
		deployment := canaryDeployment(namespace, nonce)
		return writer.Create(ctx, deployment, client.DryRunAll)
	}
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(schema.FromAPIVersionAndKind(root.APIVersion, root.Kind))
	object.Namespace, object.Name = root.Namespace, root.Name
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.HoldAnnotation, posture.CanaryMark(nonce))
	return writer.Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(patch)), client.DryRunAll)
}

func canaryDeployment(namespace, nonce string) *appsv1.Deployment {
	labels := map[string]string{"app.kubernetes.io/name": "labguard-canary"}
	none := int32(0)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Name: "labguard-canary", Namespace: namespace,
			Annotations: map[string]string{v1alpha1.HoldAnnotation: posture.CanaryMark(nonce)},
		},
		Spec: appsv1.DeploymentSpec{
			Replicas: &none, Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "canary", Image: "canary.labguard.dev/none:0"}}},
			},
		},
	}
}

// connect builds a client with a connection of its own, which is closed after use: a kept one always reaches the same API server.
func (c *Canary) connect(address string, heard *warnings) (client.Client, func(), error) {
	config := rest.CopyConfig(c.Config)
	config.WarningHandlerWithContext = heard
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, nil, fmt.Errorf("read the TLS configuration of the API server: %w", err)
	}
	if address != "" && tlsConfig != nil && tlsConfig.ServerName == "" {
		tlsConfig.ServerName = serverName(config.Host)
	}
	transport := &http.Transport{TLSClientConfig: tlsConfig, DisableKeepAlives: true, ForceAttemptHTTP2: true}
	if address != "" {
		dialer := &net.Dialer{Timeout: canaryTimeout}
		transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, network, address)
		}
	}
	wrapped, err := rest.HTTPWrappersForConfig(config, transport)
	if err != nil {
		return nil, nil, fmt.Errorf("prepare the connection to the API server: %w", err)
	}
	mapper := metaMapper()
	writer, err := client.New(config, client.Options{HTTPClient: &http.Client{Transport: wrapped}, Mapper: mapper})
	if err != nil {
		return nil, nil, fmt.Errorf("prepare the client of the canary: %w", err)
	}
	return writer, transport.CloseIdleConnections, nil
}

// warnings collects the warnings of one client.
type warnings struct {
	lock sync.Mutex
	all  []string
}

// HandleWarningHeaderWithContext keeps a warning.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.all = append(w.all, text)
}

func (w *warnings) texts() []string {
	w.lock.Lock()
	defer w.lock.Unlock()
	return slices.Clone(w.all)
}
