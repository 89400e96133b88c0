# Copyright The labguard Authors.
# SPDX-License-Identifier: Apache-2.0

# `make` lists the targets. Everything needs Go, make, gcc and git on the PATH and nothing else: recipes use no tool beyond
# coreutils, and what the shell alone cannot do is a Go program in hack/.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# A go.work above the checkout would change versions behind our back.
export GOWORK := off

MODULE := github.com/labguard/labguard
BIN := $(CURDIR)/bin
CONTROLLER_GEN := $(BIN)/controller-gen
LINT := $(BIN)/golangci-lint-kube-api-linter

# The decision function and the builders: pure, so there is no excuse for untested statements.
PURE := internal/posture internal/desired
PURE_COVERAGE := 90

# A package needs the API server if its tests import internal/testutil/cluster, whose Main is their TestMain.
CLUSTER_MAIN := $(MODULE)/internal/testutil/cluster
NEEDS_CLUSTER := {{$$p := .ImportPath}}{{if eq $$p "$(CLUSTER_MAIN)"}}{{$$p}}{{end}}$(foreach imports,TestImports XTestImports,{{range .$(imports)}}{{if eq . "$(CLUSTER_MAIN)"}}{{$$p}} {{end}}{{end}})

# What is tested on a real node has the build tag e2e. Those packages are found by what their tests import then, and do not import without.
NODE_MAIN := $(MODULE)/internal/testutil/node
NEEDS_NODE := $(foreach imports,TestImports XTestImports,{{$$p := .ImportPath}}{{range .$(imports)}}{{if eq . "$(NODE_MAIN)"}}{{$$p}} {{end}}{{end}})

# Tests of hack/devcluster that have all of Kubernetes linked in go without the race detector: compiling Kubernetes for it takes longer
# than everything else here.
KUBERNETES := k8s.io/kubernetes/cmd/kube-apiserver/app
HAS_TESTS := {{if or .TestGoFiles .XTestGoFiles}}
LINKS_KUBERNETES := {{$$links := false}}{{range .Deps}}{{if eq . "$(KUBERNETES)"}}{{$$links = true}}{{end}}{{end}}

# Asked for when a recipe uses them, as `go list` takes a second.
CLUSTER_PACKAGES = $(sort $(shell go list -f '$(NEEDS_CLUSTER)' ./...))
NODE_PACKAGES = $(sort $(shell go list -tags e2e -f '$(NEEDS_NODE)' ./...))
UNIT_PACKAGES = $(filter-out $(CLUSTER_PACKAGES),$(shell go list ./...))
DEVCLUSTER_RACE = $(shell go -C hack/devcluster list -f '$(HAS_TESTS)$(LINKS_KUBERNETES){{if not $$links}}{{.ImportPath}}{{end}}{{end}}' ./...)
DEVCLUSTER_PLAIN = $(shell go -C hack/devcluster list -f '$(HAS_TESTS)$(LINKS_KUBERNETES){{if $$links}}{{.ImportPath}}{{end}}{{end}}' ./...)

# How long `make fuzz` spends on each fuzz test.
FUZZTIME ?= 10s

##@ For a first look

.PHONY: help
help: ## list the targets (the default)
	@go run ./hack/verify help

.PHONY: demo
demo: ## a local Kubernetes with labguard at work; stays up until Ctrl-C (DEMO_EXIT=1: ends after the tour)
	@go build -o $(BIN)/demo ./hack/demo
	@exec $(BIN)/demo

##@ Every day

.PHONY: build
build: ## compile the operator to bin/manager and the kubectl plugin to bin/kubectl-labguard
	go build -o $(BIN)/manager ./cmd/manager
	go build -o $(BIN)/kubectl-labguard ./cmd/kubectl-labguard

.PHONY: unit
unit: ## tests that need no API server
	go test $(or $(UNIT_PACKAGES),$(error go list found no package))

.PHONY: test
test: devcluster flux ## all tests, with the race detector, against a real API server where they need one
	@echo "== tests that need no API server"
	@mkdir -p $(BIN)
	go test -race -coverprofile=$(BIN)/coverage.out $(UNIT_PACKAGES)
	@go run ./hack/verify coverage -profile $(BIN)/coverage.out -min $(PURE_COVERAGE) $(PURE)
	@echo "== tests against the API server of hack/devcluster, two packages at a time, each with its own"
	go test -race -p 2 -timeout 50m $(or $(CLUSTER_PACKAGES),$(error no package imports $(CLUSTER_MAIN)))
	@echo "== tests of the Helm chart, which need no API server"
# Go does not see the chart change, which lies outside of the module of its tests.
	go -C hack/chart test -count 1 ./...
	@echo "== tests of hack/devcluster"
	go -C hack/node test -race ./...
	go -C hack/devcluster test -race $(or $(DEVCLUSTER_RACE),$(error hack/devcluster has no tests))
	$(if $(DEVCLUSTER_PLAIN),go -C hack/devcluster test -timeout 20m $(DEVCLUSTER_PLAIN))

.PHONY: e2e
e2e: node ## tests on a real node, with pods and their network; needs root on Linux
	@echo "== what a node leaves behind"
	go test -tags e2e -count 1 -timeout 15m -run Node $(CLUSTER_MAIN)
	@echo "== tests on a node, one package after the other"
	go test -tags e2e -count 1 -p 1 -timeout 60m $(or $(NODE_PACKAGES),$(error no package imports $(NODE_MAIN)))

.PHONY: fuzz
fuzz: ## run each fuzz test for FUZZTIME (10s)
	@go run ./hack/verify fuzz -time $(FUZZTIME) $(UNIT_PACKAGES)

.PHONY: bench
bench: ## what labguard costs a write, beside a webhook that does nothing, against a real API server (docs/performance.md)
	@go build -o $(BIN)/bench ./hack/bench
	@exec $(BIN)/bench

.PHONY: bench-injection
bench-injection: ## what the policies of the sidecar cost the creation of a pod, with 10,000 profiles in 1,000 namespaces (docs/performance.md)
	@go test ./test/injection -run '^$$' -bench PodCreation -benchtime 1x -timeout 20m

.PHONY: bench-airlock
bench-airlock: ## airlock beside stunnel4, haproxy and a plain copy, which apt-get installs (docs/performance.md)
	@go build -o $(BIN)/airlock ./cmd/airlock
	@go build -o $(BIN)/benchairlock ./hack/benchairlock
	@exec $(BIN)/benchairlock -airlock $(BIN)/airlock

.PHONY: bench-access
bench-access: ## one answer about a person's access, with 10,000 training records and 1,000 LabWorkloads, in the process (docs/performance.md)
	@go test ./internal/admission/people -run '^$$' -bench People -benchmem

##@ For a cluster

.PHONY: images
images: ## container images of the commit, with lists of what is in them: REPOSITORY=registry.example/labguard [PUSH=1] [PLATFORMS=linux/amd64]
	@go run ./hack/release -repository '$(REPOSITORY)' $(if $(PLATFORMS),-platforms '$(PLATFORMS)') $(if $(filter-out 0 false no,$(PUSH)),-push)

.PHONY: krew
krew: ## archives of the kubectl plugin and its manifest for Krew, of the commit that a tag names: TAG=v0.1.0
	@go run ./hack/krew -tag '$(TAG)'

##@ Before a commit

.PHONY: generate
generate: tools ## write deep copies, apply configurations, CRDs and RBAC anew, and what the reference and the Helm chart have of them
	@echo "== generate"
	rm -rf api/v1alpha1/applyconfiguration
	$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt applyconfiguration:headerFile=hack/boilerplate.go.txt \
		crd paths=./api/... output:crd:dir=config/crd/bases
	$(CONTROLLER_GEN) rbac:roleName=labguard $(foreach dir,cmd controllers internal,$(if $(wildcard $(dir)),paths=./$(dir)/...)) \
		output:rbac:dir=config/rbac
	go run ./hack/reference
	go -C hack/devcluster generate ./...
	go -C hack/chart run .

.PHONY: lint
lint: tools ## golangci-lint with kube-api-linter, and tidy modules
	@echo "== lint"
	@for module in . hack/chart hack/devcluster hack/flux hack/node hack/tools; do \
		echo "go mod tidy -diff ($$module)"; \
		go -C $$module mod tidy -diff || { echo "lint: run 'go mod tidy' in $$module" >&2; exit 1; }; \
	done
	$(LINT) run --build-tags e2e ./...
	cd hack/devcluster && $(LINT) run --config ../../.golangci.yml ./...
	cd hack/node && $(LINT) run --config ../../.golangci.yml ./...
	cd hack/chart && $(LINT) run --config ../../.golangci.yml ./...

.PHONY: verify
verify: generate lint ## generate and lint, then fail if the checkout differs from its last commit
	@echo "== tree"
	@go run ./hack/verify tree

##@ Housekeeping

.PHONY: tools
tools: ## compile the tools of hack/tools (kept outside of the checkout)
	@go run ./hack/build tools

.PHONY: devcluster
devcluster: ## compile the local Kubernetes of tests and demo (kept outside of the checkout)
	@go run ./hack/build devcluster

.PHONY: flux
flux: ## compile the controller of Flux that tests run (kept outside of the checkout)
	@go run ./hack/build flux

.PHONY: helm
helm: ## compile Helm, as the tests and documents use it, to bin/helm (kept outside of the checkout)
	@go run ./hack/build helm

.PHONY: node
node: devcluster helm ## compile what a node of the local Kubernetes needs besides (kept outside of the checkout)
	@go run ./hack/build node

.PHONY: clean
clean: ## remove bin/; what is kept outside of the checkout stays
	rm -rf $(BIN)
