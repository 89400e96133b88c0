// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package injection

import (
	"strconv"
	"strings"

	"github.com/labguard/labguard/api/v1alpha1"
	"github.com/labguard/labguard/internal/airlock/config"
)

// What airlock asks for, and when the kubelet looks at it.
const (
	// cpuRequest is small, since an idle sidecar does nothing; there is no limit of its own, which would slow down a busy one.
	cpuRequest = "10m"
	// startupFailures seconds are enough for a start on a node that is busy with others.
	startupFailures = 60
	// fileMode is 0444: airlock is neither root nor of the group of the files, and a group of the pod would change the volumes of the application.
	fileMode = 0o444
	// tokenPath is where the API server mounts the token of the service account into containers that have nothing there.
	tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount" //nolint:gosec // a path
)

// words are what the expressions are written with: %WORD% stands for a name or a number that airlock and the policies agree on.
var words = strings.NewReplacer(
	"%AIRLOCK%", config.ContainerName,
	"%REDIRECT%", config.RedirectContainerName,
	"%VOLUME%", config.VolumeName,
	"%DIRECTORY%", config.Directory,
	"%UID%", strconv.Itoa(config.UserID),
	"%HEALTH%", strconv.Itoa(config.HealthPort),
	"%HOSTIPS%", config.HostIPsVariable,
	"%CERTIFICATE%", config.CertificateFile,
	"%KEY%", config.KeyFile,
	"%CONFIGURATION%", config.FileName,
	"%WORKLOAD%", v1alpha1.WorkloadLabel,
	"%HASH%", v1alpha1.AirlockLabel,
	"%MANAGED%", v1alpha1.ManagedByLabel,
	"%LABGUARD%", v1alpha1.ManagedByValue,
	"%TRUST%", TrustConfigMap,
	"%PREFIX%", Prefix,
	"%SUFFIX%", CompanionSuffix,
	"%CPU%", cpuRequest,
	"%FAILURES%", strconv.Itoa(startupFailures),
	"%MODE%", strconv.Itoa(fileMode),
	"%TOKEN%", tokenPath,
)

// expression fills in the words.
func expression(text string) string { return words.Replace(strings.TrimSpace(text)) }
