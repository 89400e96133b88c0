// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
)

const (
	dnsAddress    = ":53"
	healthAddress = ":8181"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "dns: %v\n", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	config, err := rest.InClusterConfig()
	if err != nil {
		return fmt.Errorf("read the configuration of the pod: %w", err)
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("create client: %w", err)
	}
	var current atomic.Pointer[zone]
	if err := watch(ctx, client, &current); err != nil {
		return err
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, request *dns.Msg) {
		reply := current.Load().answer(request)
		reply.Truncate(room(w, request))
		// A reply that cannot be sent is asked for again.
		_ = w.WriteMsg(reply)
	})
	failed := make(chan error, 3)
	for _, network := range []string{"udp", "tcp"} {
		server := &dns.Server{Addr: dnsAddress, Net: network, Handler: handler}
		go func() { failed <- server.ListenAndServe() }()
	}
	go func() { failed <- serveHealth() }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
		return nil
	}
}

// room is how long a reply may be.
func room(w dns.ResponseWriter, request *dns.Msg) int {
	if w.RemoteAddr().Network() == "tcp" {
		return dns.MaxMsgSize
	}
	if edns := request.IsEdns0(); edns != nil {
		return max(dns.MinMsgSize, int(edns.UDPSize()))
	}
	return dns.MinMsgSize
}

// watch keeps the zone up to date, from when it returns.
func watch(ctx context.Context, client kubernetes.Interface, current *atomic.Pointer[zone]) error {
	factory := informers.NewSharedInformerFactory(client, 0)
	services := factory.Core().V1().Services()
	endpoints := factory.Discovery().V1().EndpointSlices()
	dirty := make(chan struct{}, 1)
	touch := func() {
		select {
		case dirty <- struct{}{}:
		default:
		}
	}
	for _, informer := range []cache.SharedIndexInformer{services.Informer(), endpoints.Informer()} {
		_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { touch() },
			UpdateFunc: func(any, any) { touch() },
			DeleteFunc: func(any) { touch() },
		})
		if err != nil {
			return fmt.Errorf("watch: %w", err)
		}
	}
	update := func() error {
		s, err := services.Lister().List(labels.Everything())
		if err != nil {
			return err
		}
		e, err := endpoints.Lister().List(labels.Everything())
		if err != nil {
			return err
		}
		z := newZone(s, e)
		current.Store(&z)
		return nil
	}
	factory.Start(ctx.Done())
	for kind, synced := range factory.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return errors.Join(fmt.Errorf("list %s", kind), ctx.Err())
		}
	}
	go func() {
		for range dirty {
			if err := update(); err != nil {
				fmt.Fprintf(os.Stderr, "dns: update: %v\n", err)
			}
		}
	}()
	return update()
}

func serveHealth() error {
	server := &http.Server{
		Addr:              healthAddress,
		ReadHeaderTimeout: 5 * time.Second,
		Handler:           http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }),
	}
	return server.ListenAndServe()
}
