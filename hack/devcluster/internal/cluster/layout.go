// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// layout is where things are in the folder of one cluster.
type layout struct{ dir string }

func (l layout) pki() string                     { return filepath.Join(l.dir, "pki") }
func (l layout) etcdPKI() string                 { return filepath.Join(l.dir, "pki", "etcd") }
func (l layout) etcdData() string                { return filepath.Join(l.dir, "etcd") }
func (l layout) logs() string                    { return filepath.Join(l.dir, "logs") }
func (l layout) log(component string) string     { return filepath.Join(l.logs(), component+".log") }
func (l layout) auditLog() string                { return filepath.Join(l.logs(), "audit.log") }
func (l layout) auditPolicy() string             { return filepath.Join(l.dir, "audit-policy.yaml") }
func (l layout) blobs() string                   { return filepath.Join(l.dir, "registry") }
func (l layout) volumePlugins() string           { return filepath.Join(l.dir, "volume-plugins") }
func (l layout) kubeconfig() string              { return filepath.Join(l.dir, "kubeconfig") }
func (l layout) kubeconfigs() string             { return filepath.Join(l.dir, "kubeconfigs") }
func (l layout) kubeconfigOf(name string) string { return filepath.Join(l.kubeconfigs(), name) }
func (l layout) serviceAccountKey() string       { return filepath.Join(l.pki(), "service-accounts.key") }
func (l layout) ports() string                   { return filepath.Join(l.dir, "ports.json") }
func (l layout) nodeDir() string                 { return filepath.Join(l.dir, "node") }
func (l layout) state() string                   { return filepath.Join(l.dir, "cluster.json") }

// newLayout makes the folders of a cluster in dir.
func newLayout(dir string) (layout, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return layout{}, fmt.Errorf("prepare %s: %w", dir, err)
	}
	l := layout{dir: absolute}
	// Keys are in it, so nobody else may look.
	for _, d := range []string{l.dir, l.pki(), l.etcdPKI(), l.etcdData(), l.logs(), l.blobs(), l.volumePlugins(), l.kubeconfigs(), l.nodeDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return layout{}, fmt.Errorf("prepare %s: %w", dir, err)
		}
	}
	return l, nil
}

// lock makes this process the only one that runs a cluster in the folder. The
// kernel drops the lock when the process ends in whatever way.
func (l layout) lock() (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(l.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", l.dir, err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		pid, _ := os.ReadFile(f.Name())
		_ = f.Close()
		return nil, fmt.Errorf("%s is in use by process %s: stop it first, or choose another --dir", l.dir, strings.TrimSpace(string(pid)))
	}
	if err == nil {
		err = errors.Join(f.Truncate(0), func() error { _, err := fmt.Fprintln(f, os.Getpid()); return err }())
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("lock %s: %w", l.dir, err)
	}
	return func() { _ = f.Close() }, nil
}
