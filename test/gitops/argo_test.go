// Copyright The labguard Authors.
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

const argoDocs = "../../docs/gitops/argocd"

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// argoHealth is what Argo CD reads from the table that a script returns.
type argoHealth struct{ Status, Message string }

// healthOf runs a script as Argo CD runs those of argocd-cm (util/lua/lua.go of Argo CD): with the base and table libraries alone, and a second of time. What
// is being deleted it does not ask a script about (gitops-engine/pkg/health/health.go).
func healthOf(t *testing.T, script string, object *unstructured.Unstructured) argoHealth {
	t.Helper()
	if object.GetDeletionTimestamp() != nil {
		return argoHealth{Status: progressing, Message: "Pending deletion"}
	}
	machine := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer machine.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := machine.CallByParam(lua.P{Fn: machine.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	machine.SetContext(ctx)
	machine.SetGlobal("obj", luaValue(t, machine, object.Object))
	if err := machine.DoString(script); err != nil {
		t.Fatal(err)
	}
	table, isTable := machine.Get(-1).(*lua.LTable)
	if !isTable {
		t.Fatalf("the script returns %s", machine.Get(-1).Type())
	}
	health := argoHealth{Status: lua.LVAsString(table.RawGetString("status")), Message: lua.LVAsString(table.RawGetString("message"))}
	switch health.Status {
	case healthy, progressing, degraded, suspended:
	default:
		t.Errorf("%q is no health of Argo CD", health.Status)
	}
	return health
}

// luaValue is a value of an object as Lua has it.
func luaValue(t *testing.T, machine *lua.LState, value any) lua.LValue {
	t.Helper()
	switch value := value.(type) {
	case nil:
		return lua.LNil
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		table := machine.NewTable()
		for _, item := range value {
			table.Append(luaValue(t, machine, item))
		}
		return table
	case map[string]any:
		table := machine.NewTable()
		for key, item := range value {
			table.RawSetString(key, luaValue(t, machine, item))
		}
		return table
	default:
		t.Fatalf("an object has a %T", value)
		return nil
	}
}

// What is applied with one command has the scripts that are tested.
func TestTheConfigurationOfArgoCDHasTheScripts(t *testing.T) {
	var patch struct {
		Data map[string]string `json:"data"`
	}
	if err := yaml.Unmarshal([]byte(read(t, filepath.Join(argoDocs, "argocd-cm.yaml"))), &patch); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	for key, file := range map[string]string{
		"resource.customizations.health.labguard.dev_LabWorkload":      "labworkload.lua",
		"resource.customizations.health.labguard.dev_IdentityProvider": "identityprovider.lua",
	} {
		want[key] = read(t, filepath.Join(argoDocs, file))
	}
	for key := range patch.Data {
		if _, isScript := want[key]; !isScript {
			delete(patch.Data, key)
		}
	}
	if diff := cmp.Diff(want, patch.Data); diff != "" {
		t.Errorf("argocd-cm.yaml (-files +patch):\n%s", diff)
	}
}
