// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	corev1 "k8s.io/api/core/v1"

	"github.com/labguard/labguard/internal/testutil/cluster"
)

// processes are the IDs of the processes whose command line has all the words.
func processes(words ...string) []int {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var found []int
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		line, all := string(bytes.ReplaceAll(content, []byte{0}, []byte{' '})), true
		for _, word := range words {
			all = all && strings.Contains(line, word)
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && all {
			found = append(found, pid)
		}
	}
	return found
}

// killAirlock ends the sidecar of a pod as a kernel that is out of memory would.
func (l *lab) killAirlock(pod *corev1.Pod) {
	l.Helper()
	container := ""
	for _, status := range pod.Status.InitContainerStatuses {
		if status.Name == "airlock" {
			_, container, _ = strings.Cut(status.ContainerID, "://")
		}
	}
	for _, pid := range processes("airlock", "run") {
		group, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
		if err == nil && container != "" && strings.Contains(string(group), container) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				l.Fatal(err)
			}
			return
		}
	}
	l.Fatalf("pod %s has no process of airlock", pod.Name)
}

// stopCertManager has cert-manager stand still until the function that it returns is called.
func (l *lab) stopCertManager() func() {
	l.Helper()
	found := processes("cert-manager", cluster.Dir())
	if len(found) == 0 {
		l.Fatal("cert-manager does not run")
	}
	tell := func(signal syscall.Signal) {
		for _, pid := range found {
			if err := syscall.Kill(pid, signal); err != nil {
				l.Error(err)
			}
		}
	}
	tell(syscall.SIGSTOP)
	return func() { tell(syscall.SIGCONT) }
}
