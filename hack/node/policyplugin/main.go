// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"
)

// timeout is more than the enforcer takes before it gives up.
const timeout = 30 * time.Second

type configuration struct {
	types.PluginConf
	// Enforcer is the URL of the enforcer.
	Enforcer string `json:"enforcer"`
}

// podArgs is what the container runtime says about the pod.
type podArgs struct {
	types.CommonArgs
	K8S_POD_UID types.UnmarshallableString //nolint:revive,staticcheck // the name is the runtime's
}

func main() {
	nothing := func(*skel.CmdArgs) error { return nil }
	skel.PluginMainFuncs(skel.CNIFuncs{Add: add, Del: nothing, Check: nothing}, version.All, "policyplugin")
}

func add(args *skel.CmdArgs) error {
	var c configuration
	if err := json.Unmarshal(args.StdinData, &c); err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	if err := version.ParsePrevResult(&c.PluginConf); err != nil {
		return fmt.Errorf("read the result of the plugin before: %w", err)
	}
	result, err := current.NewResultFromResult(c.PrevResult)
	if err != nil {
		return fmt.Errorf("read the result of the plugin before: %w", err)
	}
	pod := podArgs{CommonArgs: types.CommonArgs{IgnoreUnknown: true}}
	if err := types.LoadArgs(args.Args, &pod); err != nil {
		return fmt.Errorf("read who the pod is: %w", err)
	}
	if len(result.IPs) == 0 || pod.K8S_POD_UID == "" {
		return errors.New("the pod has no address or no UID")
	}
	if err := announce(c.Enforcer, string(pod.K8S_POD_UID), result.IPs[0].Address.IP.String()); err != nil {
		return err
	}
	return types.PrintResult(result, c.CNIVersion)
}

func announce(enforcer, uid, address string) error {
	body, err := json.Marshal(map[string]string{"uid": uid, "address": address})
	if err != nil {
		return fmt.Errorf("announce the pod: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, enforcer+"/pods", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("announce the pod: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("announce the pod: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		const enough = 1024
		reason, _ := io.ReadAll(io.LimitReader(response.Body, enough))
		return fmt.Errorf("announce the pod: %s: %s", response.Status, reason)
	}
	return nil
}
