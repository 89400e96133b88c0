// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// options are the flags: where and how this process runs. What labguard does is in the configuration file.
type options struct {
	configuration string
	namespace     string
	user          string
	webhookURL    string
	webhookHost   string
	webhookPort   int
	metrics       string
	metricsSecure bool
	probes        string
	leaderElect   bool
	identityDir   string
	releaseHolds  bool
	takeDown      bool
	selfTest      bool
}

func defaultOptions() *options {
	return &options{
		namespace: "labguard-system", user: "system:serviceaccount:labguard-system:labguard",
		webhookPort: 9443, metrics: ":8443", metricsSecure: true, probes: ":8081", leaderElect: true,
		identityDir: "/var/run/labguard/identity",
	}
}

func (o *options) bind(flags *flag.FlagSet) {
	flags.StringVar(&o.configuration, "config", o.configuration, "configuration file (docs/configuration.md); without it the defaults hold")
	flags.StringVar(&o.namespace, "namespace", o.namespace, "labguard's own namespace")
	flags.StringVar(&o.user, "user", o.user, "user name that the API server knows this process by")
	flags.StringVar(&o.webhookURL, "webhook-url", o.webhookURL, "https URL at which the API server reaches the webhooks, for a manager outside the cluster, such as https://localhost:9443; empty: the Service labguard-webhook")
	flags.StringVar(&o.webhookHost, "webhook-host", o.webhookHost, "address on which the webhooks listen; empty: all")
	flags.IntVar(&o.webhookPort, "webhook-port", o.webhookPort, "port on which the webhooks listen")
	flags.StringVar(&o.metrics, "metrics-bind-address", o.metrics, "address of the metrics; 0 switches them off")
	flags.BoolVar(&o.metricsSecure, "metrics-secure", o.metricsSecure, "serve metrics over TLS to those who may get them (RBAC: get /metrics)")
	flags.StringVar(&o.probes, "health-probe-bind-address", o.probes, "address of /healthz and /readyz")
	flags.BoolVar(&o.leaderElect, "leader-elect", o.leaderElect, "let one of several replicas run the controllers; all serve webhooks")
	flags.StringVar(&o.identityDir, "identity-dir", o.identityDir, "directory with tls.crt and tls.key of labguard's own identity, with which it asks airlocks; read anew when they change")
	flags.BoolVar(&o.releaseHolds, "release-holds", o.releaseHolds, "do nothing but give back everything that the gate holds in the cluster, and end; for when labguard is gone, after its gate was taken down")
	flags.BoolVar(&o.takeDown, "take-down", o.takeDown, "do nothing but take the gate down, whether labguard runs or not: delete its anchor, webhook configurations and admission policies, give back everything that it holds in the cluster, and end; for uninstalling")
	flags.BoolVar(&o.selfTest, "self-test", o.selfTest, "do nothing but say whether the labguard in --namespace works, and end")
}

// validate says what is wrong with the flags, and what would be right.
func (o *options) validate() error {
	if o.namespace == "" || o.user == "" {
		return errors.New("--namespace and --user must not be empty")
	}
	if o.releaseHolds && o.takeDown || o.takeDown && o.selfTest || o.selfTest && o.releaseHolds {
		return errors.New("give one of --release-holds, --take-down and --self-test")
	}
	if o.webhookURL == "" {
		return nil
	}
	return o.validateWebhookURL()
}

func (o *options) validateWebhookURL() error {
	parsed, err := url.Parse(o.webhookURL)
	if err != nil || parsed.Scheme != "https" || parsed.Hostname() == "" || parsed.Path != "" && parsed.Path != "/" ||
		parsed.User != nil || parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "" {
		return fmt.Errorf("--webhook-url %q: write https, a host and a port, such as https://localhost:9443", o.webhookURL)
	}
	if _, err := netip.ParseAddr(parsed.Hostname()); err == nil {
		return fmt.Errorf("--webhook-url %q: write the name of the host instead of its address; the certificate of the webhooks carries names", o.webhookURL)
	}
	return nil
}

// webhookNames are the DNS names that the serving certificate of the webhooks carries.
func (o *options) webhookNames() []string {
	if o.webhookURL == "" {
		service := webhookService + "." + o.namespace + ".svc"
		return []string{service, webhookService + "." + o.namespace}
	}
	parsed, err := url.Parse(o.webhookURL)
	if err != nil {
		return nil
	}
	return []string{parsed.Hostname()}
}

// identity is the ServiceAccount that this process runs as, as namespace:name; empty if its user is none.
func (o *options) identity() string {
	account, isAccount := strings.CutPrefix(o.user, "system:serviceaccount:")
	if !isAccount {
		return ""
	}
	return account
}
