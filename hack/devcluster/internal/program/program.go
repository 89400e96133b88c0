// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package program

import (
	"os"
	_ "time/tzdata" // CronJobs have time zones, and the machine may have none

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // kubeconfigs of other clusters
	"k8s.io/component-base/cli"
	"k8s.io/component-base/logs"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // version metric
	kubectl "k8s.io/kubectl/pkg/cmd"
	kubectlutil "k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"

	"github.com/labguard/labguard/hack/devcluster/internal/component"
)

// A Program runs with args, its own name first, and returns its exit code.
type Program func(args []string) int

// Lookup returns the program called name.
func Lookup(name string) (Program, bool) {
	if p, ok := programs[name]; ok {
		return p, true
	}
	p, ok := nodePrograms[name]
	return p, ok
}

var programs = map[string]Program{
	component.Etcd:              etcd,
	component.APIServer:         cobraProgram(apiserver.NewAPIServerCommand),
	component.ControllerManager: cobraProgram(controllermanager.NewControllerManagerCommand),
	component.Scheduler:         cobraProgram(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
	component.Kubectl:           kubectlProgram,
	component.CertManager:       certManager,
}

func etcd(args []string) int {
	etcdmain.Main(args)
	return 0
}

// cobraProgram makes the command when it is asked for, not before: making one
// registers flags and metrics that would clash with those of another.
func cobraProgram(newCommand func() *cobra.Command) Program {
	return func(args []string) int {
		os.Args = args
		return cli.Run(newCommand())
	}
}

func kubectlProgram(args []string) int {
	os.Args = args
	// An unknown verbosity is kubectl's to refuse, when it parses its flags.
	_, _ = logs.GlogSetter(kubectl.GetLogVerbosity(args))
	if err := cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand()); err != nil {
		kubectlutil.CheckErr(err)
		return 1
	}
	return 0
}
