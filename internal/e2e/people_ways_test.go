// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/streaming/pkg/httpstream"

	program "github.com/labguard/labguard/internal/e2e/lab"
)

const (
	deskPort = "8090"
	// deskFile is a file of the image, and deskText what is in it.
	deskFile, deskText = "/desk.txt", "what lies on the desk\n"

	webSocket, spdyStream = "web socket", "SPDY"
)

var transports = []string{webSocket, spdyStream}

// wayTimeout is ample: a way is gone, or refused, within a second or two.
const wayTimeout = 30 * time.Second

// target is the pod that somebody wants to get into, and the Service before it.
type target struct{ namespace, pod, service, image string }

// ways are kubectl's ways into a pod, as client-go goes them. Each is an error unless it has carried something that only the pod can say.
var ways = map[string]func(ctx context.Context, who *rest.Config, to target, transport string) error{
	"exec": func(ctx context.Context, who *rest.Config, to target, transport string) error {
		output, err := execute(ctx, who, to, transport, "/tar", "say", "hello")
		return expected(output, "hello\n", err)
	},
	"cp": func(ctx context.Context, who *rest.Config, to target, transport string) error {
		packed, err := execute(ctx, who, to, transport, "tar", "cf", "-", deskFile)
		if err != nil {
			return err
		}
		archive := tar.NewReader(strings.NewReader(packed))
		if _, err := archive.Next(); err != nil {
			return err
		}
		content, err := io.ReadAll(archive)
		return expected(string(content), deskText, err)
	},
	"attach": func(ctx context.Context, who *rest.Config, to target, transport string) error {
		return attach(ctx, who, to, transport, "main")
	},
	"port-forward": forward,
	"debug":        debug,
	"pod proxy": func(ctx context.Context, who *rest.Config, to target, transport string) error {
		return proxied(ctx, who, "pods/"+to.pod, to.namespace, transport)
	},
	"Service proxy": func(ctx context.Context, who *rest.Config, to target, transport string) error {
		return proxied(ctx, who, "services/"+to.service, to.namespace, transport)
	},
}

func expected(got, want string, err error) error {
	if err == nil && got != want {
		err = fmt.Errorf("it gives %q, not %q", got, want)
	}
	return err
}

func at(who *rest.Config, to target, subresource string, options runtime.Object) (*url.URL, error) {
	client, err := kubernetes.NewForConfig(who)
	if err != nil {
		return nil, err
	}
	request := client.CoreV1().RESTClient().Post().Resource("pods").Namespace(to.namespace).Name(to.pod).SubResource(subresource)
	return request.VersionedParams(options, scheme.ParameterCodec).URL(), nil
}

// stream opens the streams of a command.
func stream(ctx context.Context, who *rest.Config, where *url.URL, transport string, out, complaints io.Writer) error {
	executor, err := remotecommand.NewSPDYExecutor(who, http.MethodPost, where)
	if transport == webSocket {
		executor, err = remotecommand.NewWebSocketExecutor(who, http.MethodGet, where.String())
	}
	if err != nil {
		return err
	}
	return executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: out, Stderr: complaints})
}

func execute(ctx context.Context, who *rest.Config, to target, transport string, command ...string) (string, error) {
	where, err := at(who, to, "exec", &corev1.PodExecOptions{Container: "main", Command: command, Stdout: true, Stderr: true})
	if err != nil {
		return "", err
	}
	var output, complaints bytes.Buffer
	if err := stream(ctx, who, where, transport, &output, &complaints); err != nil {
		return "", fmt.Errorf("%w: %s", err, complaints.String())
	}
	return output.String(), nil
}

// first takes note of the first words that arrive, and ends what they arrive by.
type first struct {
	end  context.CancelFunc
	came atomic.Bool
}

// Write implements io.Writer.
func (f *first) Write(words []byte) (int, error) {
	if bytes.Contains(words, []byte(strings.TrimSpace(program.Tick))) {
		f.came.Store(true)
		f.end()
	}
	return len(words), nil
}

// attach is done when a line of the container arrives.
func attach(ctx context.Context, who *rest.Config, to target, transport, container string) error {
	where, err := at(who, to, "attach", &corev1.PodAttachOptions{Container: container, Stdout: true, Stderr: true})
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	out := &first{end: end}
	if err = stream(ctx, who, where, transport, out, io.Discard); out.came.Load() {
		return nil
	}
	return errors.Join(err, ctx.Err())
}

// forward asks the desk through a forwarded port.
func forward(ctx context.Context, who *rest.Config, to target, transport string) error {
	where, err := at(who, to, "portforward", &corev1.PodPortForwardOptions{})
	if err != nil {
		return err
	}
	dialer, err := forwarding(who, where, transport)
	if err != nil {
		return err
	}
	ctx, end := context.WithCancel(ctx)
	defer end()
	ready, ended := make(chan struct{}), make(chan error, 1)
	forwarder, err := portforward.NewOnAddressesForStreamingWithContext(ctx, dialer, []string{"127.0.0.1"}, []string{"0:" + deskPort}, ready, io.Discard, io.Discard)
	if err != nil {
		return err
	}
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		return err
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return err
	}
	err = answers(ctx, http.DefaultTransport, fmt.Sprintf("http://127.0.0.1:%d/", ports[0].Local))
	end()
	return errors.Join(err, <-ended)
}

func forwarding(who *rest.Config, where *url.URL, transport string) (httpstream.Dialer, error) {
	if transport == webSocket {
		return portforward.NewSPDYOverWebsocketDialerForStreaming(where, who)
	}
	round, upgrader, err := spdy.RoundTripperFor(who)
	if err != nil {
		return nil, err
	}
	return spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: round}, http.MethodPost, where), nil
}

// answers asks the desk by HTTP.
func answers(ctx context.Context, by http.RoundTripper, where string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
	if err != nil {
		return err
	}
	response, err := by.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
	return expected(string(content), program.DeskAnswer, err)
}

var debuggers atomic.Int64

// debug adds a container to the pod, as kubectl debug does, and attaches to it.
func debug(ctx context.Context, who *rest.Config, to target, transport string) error {
	client, err := kubernetes.NewForConfig(who)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("debugger-%d-%d", time.Now().Unix(), debuggers.Add(1))
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"ephemeralContainers": []any{
		map[string]any{"name": name, "image": to.image, "command": []string{"/tar", "tick"}},
	}}})
	if err != nil {
		return err
	}
	pods := client.CoreV1().Pods(to.namespace)
	if _, err := pods.Patch(ctx, to.pod, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "ephemeralcontainers"); err != nil {
		return err
	}
	err = wait.PollUntilContextCancel(ctx, pollEvery, true, func(ctx context.Context) (bool, error) {
		pod, err := pods.Get(ctx, to.pod, metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		for _, status := range pod.Status.EphemeralContainerStatuses {
			if status.Name == name && status.State.Running != nil {
				return true, nil
			}
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("wait for container %s: %w", name, err)
	}
	return attach(ctx, who, to, transport, name)
}

// proxied upgrades a connection to the desk through a proxy of the API server, and has a word come back by it.
func proxied(ctx context.Context, who *rest.Config, what, namespace, transport string) error {
	one := rest.CopyConfig(who)
	one.NextProtos = []string{"http/1.1"} // HTTP/2 upgrades nothing
	by, err := rest.TransportFor(one)
	if err != nil {
		return err
	}
	where := fmt.Sprintf("%s/api/v1/namespaces/%s/%s:%s/proxy/", who.Host, namespace, what, deskPort)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, where, http.NoBody)
	if err != nil {
		return err
	}
	protocol := map[string]string{webSocket: "websocket", spdyStream: "SPDY/3.1"}[transport]
	request.Header.Set("Connection", "Upgrade")
	request.Header.Set("Upgrade", protocol)
	response, err := by.RoundTrip(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	opened, both := response.Body.(io.ReadWriter)
	if response.StatusCode != http.StatusSwitchingProtocols || !both {
		words, err := io.ReadAll(io.LimitReader(response.Body, 1<<16))
		var status metav1.Status
		if json.Unmarshal(words, &status) == nil && status.Message != "" {
			words = []byte(status.Message)
		}
		return errors.Join(fmt.Errorf("%s: %s", response.Status, words), err)
	}
	word := []byte("hello")
	if _, err := opened.Write(word); err != nil {
		return err
	}
	back := make([]byte, len(word))
	if _, err := io.ReadFull(opened, back); err != nil {
		return err
	}
	// A plain request, too.
	return errors.Join(expected(string(back), string(word), nil), answers(ctx, by, where))
}
