// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	// Each registers its controller or kind of issuer when it is imported.
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	_ "github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	_ "github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	_ "github.com/cert-manager/cert-manager/pkg/controller/issuers"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca"
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
	"golang.org/x/sync/errgroup"
	"k8s.io/klog/v2"
)

// workers is how many objects each controller of cert-manager handles at once.
const workers = 5

// certManager runs the controllers of cert-manager whose packages are imported
// above: certificates from self-signed and CA issuers. ACME, Vault and the rest
// need a network that a development cluster has not. cert-manager's own main
// package is in a module that cannot be imported, hence this one.
func certManager(args []string) int {
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "how to reach the API server")
	health := flags.String("health-address", "127.0.0.1:0", "where /healthz says ok once the controllers run")
	if err := flags.Parse(args[1:]); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := runCertManager(ctx, *kubeconfig, *health); err != nil {
		klog.ErrorS(err, "cert-manager failed")
		return 1
	}
	return 0
}

func runCertManager(ctx context.Context, kubeconfig, health string) error {
	factory, err := controller.NewContextFactory(ctx, certManagerOptions(kubeconfig))
	if err != nil {
		return fmt.Errorf("create clients: %w", err)
	}
	root, err := factory.Build()
	if err != nil {
		return fmt.Errorf("create clients: %w", err)
	}
	controllers := map[string]controller.Interface{}
	for name, construct := range controller.Known() {
		if controllers[name], err = construct(factory); err != nil {
			return fmt.Errorf("create controller %s: %w", name, err)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	synced := &atomic.Bool{}
	group.Go(func() error { return serveHealth(ctx, health, synced) })
	// All informers exist now that all controllers do; none was started before.
	root.SharedInformerFactory.Start(ctx.Done())
	root.KubeSharedInformerFactory.Start(ctx.Done())
	for name, c := range controllers {
		group.Go(func() error {
			if err := c.Run(workers, ctx); err != nil && ctx.Err() == nil {
				return fmt.Errorf("run controller %s: %w", name, err)
			}
			return nil
		})
	}
	root.SharedInformerFactory.WaitForCacheSync(ctx.Done())
	root.KubeSharedInformerFactory.WaitForCacheSync(ctx.Done())
	synced.Store(true)
	return group.Wait()
}

// certManagerOptions are the defaults of cert-manager's own command, except for
// the request rate: tests wait for certificates.
func certManagerOptions(kubeconfig string) controller.ContextOptions {
	return controller.ContextOptions{
		Kubeconfig:         kubeconfig,
		KubernetesAPIQPS:   200,
		KubernetesAPIBurst: 400,
		IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: "cert-manager"},
		CertificateOptions: controller.CertificateOptions{
			CertificateRequestMinimumBackoffDuration: time.Hour,
			CertificateRequestMaximumBackoffDuration: 32 * time.Hour,
		},
	}
}

func serveHealth(ctx context.Context, address string, healthy *atomic.Bool) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve health: %w", err)
	}
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if !healthy.Load() {
				http.Error(w, "informers are not synced", http.StatusServiceUnavailable)
				return
			}
			_, _ = w.Write([]byte("ok"))
		}),
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve health: %w", err)
	}
	return nil
}
