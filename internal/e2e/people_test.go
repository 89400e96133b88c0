// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/testutil/cluster"
	"github.com/labguard/labguard/internal/testutil/provider"
)

// TestPeople has people, machines and an emergency try every way into a pod of the real node, and what runs there be changed, while everything is well and
// while it is not. The steps stand on each other.
func TestPeople(t *testing.T) {
	p := newPeople(t)
	for _, step := range []struct {
		name string
		do   func(*testing.T, *people)
	}{
		{"a login with two factors gets in, and others do not", whoGetsIn},
		{"kubectl itself", kubectlItself},
		{"outages", outages},
		{"break glass is found afterwards", foundAfterwards},
		{"a use of break glass stands until a person with two factors has acknowledged it", acknowledged},
		{"cold start", coldStart},
	} {
		begun := time.Now()
		t.Run(step.name, func(t *testing.T) { step.do(t, p.with(t)) })
		t.Logf("%s: %s", step.name, time.Since(begun).Round(time.Second))
	}
}

// person is somebody, or something, with access to the cluster.
type person struct {
	name   string
	config *rest.Config
	// says is what a refusal says to them; empty for whoever is let through.
	says []string
}

// people are those of the test.
type people struct {
	*lab
	// The cluster takes tokens of all providers, and labguard knows the first. Tokens of brief are over when they are tried.
	known, other, brief *provider.Provider
	desk                target
	// machines is the namespace of the listed machine.
	machines string
	// alice has logged in with two factors an hour ago, and has the course. yesterday is her login of 25 hours ago.
	alice, yesterday, expired person
	// oneFactor, untrained, elsewhere, robot and administrator are refused; machine is listed, night in the group of break glass.
	oneFactor, untrained, elsewhere, robot, administrator person
	machine, night                                        person
}

// kubeconfig writes a file for kubectl.
func (p *people) kubeconfig(who person) string {
	p.Helper()
	file := filepath.Join(p.TempDir(), "kubeconfig")
	config := clientcmdapi.NewConfig()
	config.Clusters["lab"] = &clientcmdapi.Cluster{
		Server: who.config.Host, CertificateAuthorityData: who.config.CAData, CertificateAuthority: who.config.CAFile,
	}
	config.AuthInfos["user"] = &clientcmdapi.AuthInfo{
		Token: who.config.BearerToken, ClientCertificateData: who.config.CertData, ClientKeyData: who.config.KeyData,
	}
	config.Contexts["lab"] = &clientcmdapi.Context{Cluster: "lab", AuthInfo: "user", Namespace: p.namespace}
	config.CurrentContext = "lab"
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		p.Fatal(err)
	}
	return file
}

func (p *people) with(t *testing.T) *people {
	other := *p
	other.lab = p.lab.with(t)
	return &other
}

var twoFactors = []string{"pwd", "otp"}

// identify has everybody log in, once the cluster knows the providers.
func (p *people) identify(t *testing.T) {
	t.Helper()
	as := func(name string, from *provider.Provider, login provider.Login, says ...string) person {
		return person{name: name, config: cluster.TokenConfig(from.LoginAs(t, login).ID), says: says}
	}
	again := "log in again at " + p.known.Issuer()
	p.alice = as("two factors", p.known, provider.Login{User: "alice", Methods: twoFactors, Ago: time.Hour})
	p.yesterday = as("a login of yesterday", p.known, provider.Login{User: "alice", Methods: twoFactors, Ago: 25 * time.Hour}, "a login of the last 12 hours", again)
	p.oneFactor = as("a password alone", p.known, provider.Login{User: "alice", Methods: []string{"pwd"}}, "a login with", "otp", again)
	p.untrained = as("nobody trained", p.known, provider.Login{User: "bob", Methods: twoFactors}, "take the course "+course)
	p.elsewhere = as("another issuer", p.other, provider.Login{User: "alice", Methods: twoFactors}, "not of an issuer that labguard knows", "log in at "+p.known.Issuer())
	p.expired = as("a token that is over", p.brief, provider.Login{User: "alice", Methods: twoFactors})
	p.robot = person{"a ServiceAccount", cluster.ServiceAccountConfig(t, p.namespace, "robot"), []string{"only those that the operator's configuration lists pass"}}
	p.administrator = person{"the administrator's certificate", cluster.Config(), []string{"log in with a second factor"}}
	p.night = person{name: "break glass", config: cluster.CertificateConfig(t, "night", "labguard:break-glass")}
}

// everyWay has somebody go every way by both transports.
func (p *people) everyWay(who person) {
	p.Helper()
	const atOnce = 6
	var all errgroup.Group
	all.SetLimit(atOnce)
	for name, way := range ways {
		for _, transport := range transports {
			all.Go(func() error {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(p.Context()), wayTimeout)
				defer cancel()
				err := way(ctx, who.config, p.desk, transport)
				if fault := judge(err, who.says); fault != nil {
					p.Errorf("%s, %s by %s: %v", who.name, name, transport, fault)
				}
				return nil
			})
		}
	}
	_ = all.Wait()
}

// judge says what is wrong with how somebody fared: without words they have to come through, else labguard has to refuse them with these.
func judge(err error, says []string) error {
	switch {
	case len(says) == 0:
		return err
	case err == nil:
		return errors.New("let through")
	}
	words := err.Error()
	if !strings.Contains(words, "access.people.labguard.dev\" denied the request") && !strings.Contains(words, "'labguard-access'") {
		return fmt.Errorf("not refused by labguard, but: %w", err)
	}
	for _, want := range says {
		if !strings.Contains(words, want) {
			return fmt.Errorf("the refusal does not say %q: %w", want, err)
		}
	}
	return nil
}

func whoGetsIn(t *testing.T, p *people) {
	for _, who := range []person{p.alice, p.machine, p.oneFactor, p.yesterday, p.untrained, p.elsewhere, p.robot, p.administrator} {
		t.Run(who.name, func(t *testing.T) { p.with(t).everyWay(who) })
	}
	p.condition("desk", v1alpha1.ConditionMFAEnforced, metav1.ConditionTrue, "")
	// Nobody becomes the machine without a login.
	_, err := as(p.administrator).CoreV1().ServiceAccounts(p.machines).CreateToken(t.Context(), "sync", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), `"tokens.people.labguard.dev" denied the request`) {
		t.Errorf("a token of the listed machine, for the administrator's certificate: %v", err)
	}
}
