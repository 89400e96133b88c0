// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const (
	day = 24 * time.Hour
	// limit is images.maxAge of the demo's LabWorkloads.
	limit = 90 * day
	// soon is how long the image of the middleware stays fresh: time enough to roll it out.
	soon = 25 * time.Second
)

// pushImages puts images of several ages into the registry. They are empty but for their date, as nothing runs them here.
func (s *stage) pushImages(ctx context.Context) error {
	title("Pushing images of several ages to " + s.registry)
	ages := []struct {
		image string
		age   time.Duration
	}{{"lab/lis:2.4", 12 * day}, {"lab/lis:2.3", 45 * day}, {"lab/lis:1.9", 400 * day}, {"lab/analyzer-gateway:5", 80 * day}, {"lab/reproducible:1", 0}}
	for _, one := range ages {
		if err := s.push(ctx, one.image, one.age); err != nil {
			return err
		}
	}
	return nil
}

func (s *stage) push(ctx context.Context, image string, age time.Duration) error {
	reference, err := name.ParseReference(s.registry+"/"+image, name.Insecure)
	if err != nil {
		return fmt.Errorf("push %s: %w", image, err)
	}
	words := "without a date, as reproducible builds are"
	var content v1.Image = empty.Image
	if age != 0 {
		words = fmt.Sprintf("%.0f days old", age.Hours()/24)
		if age < 2*day {
			words = "a day old"
		}
		if content, err = mutate.CreatedAt(content, v1.Time{Time: time.Now().Add(-age).UTC()}); err != nil {
			return fmt.Errorf("push %s: %w", image, err)
		}
	}
	fmt.Printf("  %-24s %s\n", image, words)
	if err := remote.Write(reference, content, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("push %s: %w", image, err)
	}
	return nil
}

// tour is what a team sees.
func (s *stage) tour(ctx context.Context) error {
	for _, part := range []func(context.Context) error{s.declare, s.rollOut, s.hold, s.goStale, s.report} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// declare writes two LabWorkloads of two departments and waits until the gate is proven to stand.
func (s *stage) declare(ctx context.Context) error {
	title("Two departments declare what their software must live up to")
	if err := s.apply(ctx, "LabWorkload", workloads); err != nil {
		return err
	}
	say("labguard proves with a canary on every API server that its gate stands, before it calls a workload Ready:")
	if err := s.show(ctx, "wait", "--for=condition=Ready", "--timeout=120s", "-n", pathology, "labworkload/lis"); err != nil {
		return err
	}
	if err := s.show(ctx, "wait", "--for=condition=Ready", "--timeout=120s", "-n", chemistry, "labworkload/analyzer-gateway"); err != nil {
		return err
	}
	if err := s.show(ctx, "describe", "networkpolicy", "-n", pathology, "labguard-lis"); err != nil {
		return err
	}
	return s.certificate(ctx)
}

// certificate summarises what cert-manager has issued, and checks that it chains to the laboratory's authority.
func (s *stage) certificate(ctx context.Context) error {
	title("The certificate that cert-manager has issued")
	leaf, err := s.read(ctx, "tls\\.crt")
	if err != nil {
		return err
	}
	authority, err := s.read(ctx, "ca\\.crt")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return fmt.Errorf("the certificate does not chain to its authority: %w", err)
	}
	fmt.Printf("  identity  %s\n  names     %s\n  issuer    %s (the chain holds)\n  key       %s\n  serial    %x\n  valid     %s to %s\n",
		leaf.URIs[0], strings.Join(leaf.DNSNames, ", "), leaf.Issuer.CommonName, leaf.PublicKeyAlgorithm, leaf.SerialNumber,
		leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	return nil
}

func (s *stage) read(ctx context.Context, key string) (*x509.Certificate, error) {
	encoded, err := s.kubectl(ctx, "get", "secret", "-n", pathology, "lis-tls", "-o", "jsonpath={.data."+key+"}")
	if err != nil {
		return nil, err
	}
	content, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("the Secret lis-tls has no " + key)
	}
	return x509.ParseCertificate(block.Bytes)
}

// rollOut shows the gate: a fresh image passes, a stale one is refused with everything that helps.
func (s *stage) rollOut(ctx context.Context) error {
	title("A fresh image rolls out")
	if err := s.apply(ctx, "Deployment lis with lab/lis:2.3", deployment(pathology, "lis", s.registry+"/lab/lis:2.3")); err != nil {
		return err
	}
	if err := s.show(ctx, "set", "image", "-n", pathology, "deployment/lis", "lis="+s.registry+"/lab/lis:2.4"); err != nil {
		return err
	}
	title("A stale image does not")
	if err := s.showRefused(ctx, "set", "image", "-n", pathology, "deployment/lis", "lis="+s.registry+"/lab/lis:1.9"); err != nil {
		return err
	}
	title("An image of unknown age gets a warning")
	return s.show(ctx, "create", "job", "-n", chemistry, "import", "--image="+s.registry+"/lab/reproducible:1")
}

// hold shows a pipeline that is not to fail: what is stale is stored and waits, and rolls out by itself once its tag is built anew.
func (s *stage) hold(ctx context.Context) error {
	title("Where a LabWorkload holds instead of refusing, a stale image waits for a fresh build")
	if err := s.push(ctx, "lab/portal:3", 200*day); err != nil {
		return err
	}
	if err := s.apply(ctx, "Deployment portal with lab/portal:3", deployment(chemistry, "portal", s.registry+"/lab/portal:3")); err != nil {
		return err
	}
	if err := s.show(ctx, "get", "deployment", "-n", chemistry, "portal", "-o",
		`jsonpath=paused: {.spec.paused}, what comes back: {.metadata.annotations.labguard\.dev/hold}{"\n"}`); err != nil {
		return err
	}
	say("Somebody builds it anew under the same tag:")
	if err := s.push(ctx, "lab/portal:3", day); err != nil {
		return err
	}
	if err := s.until(ctx, "labguard has seen that and let it roll out (a tag is looked at once a minute)", func(ctx context.Context) error {
		answer, err := s.kubectl(ctx, "get", "deployment", "-n", chemistry, "portal", "-o", "jsonpath={.spec.paused}")
		if err == nil && answer == "true" {
			err = errors.New("it is held")
		}
		return err
	}); err != nil {
		return err
	}
	return s.show(ctx, "get", "events", "-n", chemistry, "--field-selector", "involvedObject.name=portal")
}

// goStale lets an image go stale while its workload runs, and shows that nothing stops.
func (s *stage) goStale(ctx context.Context) error {
	title("An image goes stale while its workload runs")
	made := time.Now().Add(-limit + soon)
	if err := s.push(ctx, "lab/middleware:7", time.Since(made)); err != nil {
		return err
	}
	image := s.registry + "/lab/middleware:7"
	if err := s.apply(ctx, "Deployment middleware, fresh for "+soon.String(), deployment(pathology, "middleware", image)); err != nil {
		return err
	}
	say("... until it is 90 days old. Another department that would bring it now is refused:")
	if err := s.until(ctx, "the image is 90 days old", func(context.Context) error {
		if left := time.Until(made.Add(limit)); left > 0 {
			return fmt.Errorf("it will be in %s", left.Round(time.Second))
		}
		return nil
	}); err != nil {
		return err
	}
	if err := s.showRefused(ctx, "create", "deployment", "-n", chemistry, "analyzer-gateway", "--image="+image); err != nil {
		return err
	}
	say("Where it runs already, everything goes on:")
	for _, words := range [][]string{
		{"rollout", "restart", "-n", pathology, "deployment/middleware"},
		{"scale", "-n", pathology, "deployment/middleware", "--replicas=3"},
		{"set", "env", "-n", pathology, "deployment/middleware", "MODE=night"},
		{"rollout", "undo", "-n", pathology, "deployment/lis"},
	} {
		if err := s.show(ctx, words...); err != nil {
			return err
		}
	}
	return nil
}

// report waits until the status says what has happened, and prints it.
func (s *stage) report(ctx context.Context) error {
	title("What holds, what does not, and what nobody can know")
	if err := s.until(ctx, "labguard has reported the stale image (reports are spread over a minute)", func(ctx context.Context) error {
		answer, err := s.kubectl(ctx, "get", "lw", "-n", pathology, "lis", "-o", "jsonpath={.status.conditions[?(@.type=='ImagesFresh')].status}")
		if err == nil && answer != "False" {
			err = fmt.Errorf("ImagesFresh is %s", answer)
		}
		return err
	}); err != nil {
		return err
	}
	for _, words := range [][]string{
		{"get", "lw", "-A", "-o", "wide"},
		{"get", "lw", "-n", pathology, "lis", "-o", "jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{'\\n'}{end}"},
		{"get", "rolloutrecords", "-A"},
		{"get", "imagerecords"},
	} {
		if err := s.show(ctx, words...); err != nil {
			return err
		}
	}
	return nil
}
