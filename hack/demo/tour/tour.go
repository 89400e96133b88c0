// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package tour

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"time"
)

const (
	day = 24 * time.Hour
	// limit is images.maxAge of the demo's LabWorkloads.
	limit = 90 * day
	// soon is how long the image of the middleware stays fresh: time enough to roll it out.
	soon = 25 * time.Second
)

// Walk is the whole tour. The namespaces are there, labguard is at work, and ClusterIssuer lab-ca is among its issuers.
func (t *Tour) Walk(ctx context.Context) error {
	for _, part := range []func(context.Context) error{t.pushImages, t.declare, t.rollOut, t.hold, t.goStale, t.report} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// declare writes two LabWorkloads of two departments and waits until the gate is proven to stand.
func (t *Tour) declare(ctx context.Context) error {
	t.Title("Two departments declare what their software must live up to")
	if err := t.Apply(ctx, "LabWorkload", workloads); err != nil {
		return err
	}
	t.say("labguard proves with a canary on every API server that its gate stands, before it calls a workload Ready:")
	if err := t.Show(ctx, "wait", "--for=condition=Ready", "--timeout=120s", "-n", Pathology, "labworkload/lis"); err != nil {
		return err
	}
	if err := t.Show(ctx, "wait", "--for=condition=Ready", "--timeout=120s", "-n", Chemistry, "labworkload/analyzer-gateway"); err != nil {
		return err
	}
	if err := t.Show(ctx, "describe", "networkpolicy", "-n", Pathology, "labguard-lis"); err != nil {
		return err
	}
	return t.certificate(ctx)
}

// certificate summarises what cert-manager has issued, and checks that it chains to the laboratory's authority.
func (t *Tour) certificate(ctx context.Context) error {
	t.Title("The certificate that cert-manager has issued")
	leaf, err := t.read(ctx, "tls\\.crt")
	if err != nil {
		return err
	}
	authority, err := t.read(ctx, "ca\\.crt")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return fmt.Errorf("the certificate does not chain to its authority: %w", err)
	}
	t.printf("  identity  %s\n  names     %s\n  issuer    %s (the chain holds)\n  key       %s\n  serial    %x\n  valid     %s to %s\n",
		leaf.URIs[0], strings.Join(leaf.DNSNames, ", "), leaf.Issuer.CommonName, leaf.PublicKeyAlgorithm, leaf.SerialNumber,
		leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	return nil
}

func (t *Tour) read(ctx context.Context, key string) (*x509.Certificate, error) {
	encoded, err := t.kubectl(ctx, "get", "secret", "-n", Pathology, "lis-tls", "-o", "jsonpath={.data."+key+"}")
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
func (t *Tour) rollOut(ctx context.Context) error {
	t.Title("A fresh image rolls out")
	if err := t.Apply(ctx, "Deployment lis with lab/lis:2.3", deployment(Pathology, "lis", t.Registry+"/lab/lis:2.3")); err != nil {
		return err
	}
	if err := t.Show(ctx, "set", "image", "-n", Pathology, "deployment/lis", "lis="+t.Registry+"/lab/lis:2.4"); err != nil {
		return err
	}
	t.Title("A stale image does not")
	if err := t.showRefused(ctx, "set", "image", "-n", Pathology, "deployment/lis", "lis="+t.Registry+"/lab/lis:1.9"); err != nil {
		return err
	}
	t.Title("An image of unknown age gets a warning")
	return t.Show(ctx, "create", "job", "-n", Chemistry, "import", "--image="+t.Registry+"/lab/reproducible:1")
}

// hold shows a pipeline that is not to fail: what is stale is stored and waits, and rolls out by itself once its tag is built anew.
func (t *Tour) hold(ctx context.Context) error {
	t.Title("Where a LabWorkload holds instead of refusing, a stale image waits for a fresh build")
	if err := t.push(ctx, "lab/portal:3", 200*day); err != nil {
		return err
	}
	if err := t.Apply(ctx, "Deployment portal with lab/portal:3", deployment(Chemistry, "portal", t.Registry+"/lab/portal:3")); err != nil {
		return err
	}
	if err := t.Show(ctx, "get", "deployment", "-n", Chemistry, "portal", "-o",
		`jsonpath=paused: {.spec.paused}, what comes back: {.metadata.annotations.labguard\.dev/hold}{"\n"}`); err != nil {
		return err
	}
	t.say("Somebody builds it anew under the same tag:")
	if err := t.push(ctx, "lab/portal:3", day); err != nil {
		return err
	}
	if err := t.Until(ctx, "labguard has seen that and let it roll out (a tag is looked at once a minute)", func(ctx context.Context) error {
		answer, err := t.kubectl(ctx, "get", "deployment", "-n", Chemistry, "portal", "-o", "jsonpath={.spec.paused}")
		if err == nil && answer == "true" {
			err = errors.New("it is held")
		}
		return err
	}); err != nil {
		return err
	}
	return t.Show(ctx, "get", "events", "-n", Chemistry, "--field-selector", "involvedObject.name=portal")
}

// goStale lets an image go stale while its workload runs, and shows that nothing stops.
func (t *Tour) goStale(ctx context.Context) error {
	t.Title("An image goes stale while its workload runs")
	made := t.Clock.Now().Add(-limit + soon)
	if err := t.push(ctx, "lab/middleware:7", t.Clock.Since(made)); err != nil {
		return err
	}
	image := t.Registry + "/lab/middleware:7"
	if err := t.Apply(ctx, "Deployment middleware, fresh for "+soon.String(), deployment(Pathology, "middleware", image)); err != nil {
		return err
	}
	t.say("... until it is 90 days old. Another department that would bring it now is refused:")
	if err := t.Until(ctx, "the image is 90 days old", func(context.Context) error {
		if left := made.Add(limit).Sub(t.Clock.Now()); left > 0 {
			return fmt.Errorf("it will be in %s", left.Round(time.Second))
		}
		return nil
	}); err != nil {
		return err
	}
	if err := t.showRefused(ctx, "create", "deployment", "-n", Chemistry, "analyzer-gateway", "--image="+image); err != nil {
		return err
	}
	t.say("Where it runs already, everything goes on:")
	for _, words := range [][]string{
		{"rollout", "restart", "-n", Pathology, "deployment/middleware"},
		{"scale", "-n", Pathology, "deployment/middleware", "--replicas=3"},
		{"set", "env", "-n", Pathology, "deployment/middleware", "MODE=night"},
		{"rollout", "undo", "-n", Pathology, "deployment/lis"},
	} {
		if err := t.Show(ctx, words...); err != nil {
			return err
		}
	}
	return nil
}

// report waits until the status says what has happened, and prints it.
func (t *Tour) report(ctx context.Context) error {
	t.Title("What holds, what does not, and what nobody can know")
	if err := t.Until(ctx, "labguard has reported the stale image (reports are spread over a minute)", func(ctx context.Context) error {
		answer, err := t.kubectl(ctx, "get", "lw", "-n", Pathology, "lis", "-o", "jsonpath={.status.conditions[?(@.type=='ImagesFresh')].status}")
		if err == nil && answer != "False" {
			err = fmt.Errorf("ImagesFresh is %s", answer)
		}
		return err
	}); err != nil {
		return err
	}
	for _, words := range [][]string{
		{"get", "lw", "-A", "-o", "wide"},
		{"get", "lw", "-n", Pathology, "lis", "-o", "jsonpath={range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{'\\n'}{end}"},
		{"get", "rolloutrecords", "-A"},
		{"get", "imagerecords"},
	} {
		if err := t.Show(ctx, words...); err != nil {
			return err
		}
	}
	return nil
}
