# Recipes are short; what is longer is a script in hack/.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# Seconds that each fuzz target runs.
SECONDS ?= 60

.PHONY: help setup demo build filter test lint test-native test-wasm deny cross-check e2e chart kind-up kind-down kind-load kind-smoke kind-e2e fuzz mutants bench-rules bench-sidecar install clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## Find or install what building and testing need
	hack/setup.sh

demo: ## Show it all: real Envoys, DNS and traffic between namespaces; KEEP=1 leaves it up
	hack/demo.sh

build: ## Build the workspace, optimised
	cargo build --workspace --release --locked

filter: ## Build the Envoy module, and print its path
	hack/module.sh

test: ## Run every check that hack/test.sh knows, on a fresh clone as in CI
	hack/test.sh

lint: ## Formatting, clippy, docs, cargo-deny, shellcheck, ruff, mypy
	hack/test.sh lint

test-native: ## Tests of the workspace on this machine
	hack/test.sh native

test-wasm: ## Tests compiled to wasm32, under Node.js
	hack/test.sh wasm

deny: ## Licences, bans, sources and, where their database can be had, advisories
	hack/deny.sh

cross-check: ## Type-check rules and cli for Windows and macOS, and rules without std
	hack/test.sh cross

e2e: ## Play the end-to-end scenarios: real Envoys in namespaces; e2e/run.py --help says more
	e2e/run.py

chart: ## Check the Helm chart, without a cluster
	hack/chart.sh

kind-up: ## Make a kind cluster with Istio; FAMILY=ipv6|dual (default: ipv6); kind-cluster/README.md says more
	kind-cluster/up.sh

kind-down: ## Remove that cluster; what was built or pulled for it is kept
	kind-cluster/down.sh

kind-load: ## Give the cluster an image: IMAGE=name:tag, or an archive
	kind-cluster/load.sh $(IMAGE)

kind-smoke: ## Show in the cluster that the filter arrives in sidecars and decides
	kind-cluster/smoke.sh

kind-e2e: ## Play the scenarios in the cluster: the chart, traffic, changes, outages; e2e/run.py --help says more
	e2e/run.py --kind

fuzz: ## Run the fuzz targets, each for SECONDS (default 60)
	hack/fuzz.sh $(SECONDS)

mutants: ## Mutation tests of rules: which changes to the code no test notices
	hack/mutants.sh

bench-rules: ## Time rules' operations, and count their instructions under valgrind
	cargo run --release --locked -p ssa-bench -- rules

bench-sidecar: ## Measure Envoy's CPU time for a connection, with the filter and without; ARGS=--help tells more
	cargo run --release --locked -p ssa-bench -- sidecar $(ARGS)

install: ## Install the ssa command for this user
	cargo install --locked --path cli

clean: ## Remove what builds left in the tree
	cargo clean
	rm -rf .cache mutants.out* fuzz/target fuzz/artifacts
