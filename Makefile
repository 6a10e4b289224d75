# Recipes are one-liners; anything longer is a script in hack/.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
# How many seconds each fuzz target runs.
SECONDS ?= 60

.PHONY: help setup demo demo-cluster example build filter test lint test-native test-wasm deny cross-check e2e chart kind-up kind-down kind-load kind-smoke kind-e2e fuzz mutants bench-rules bench-sidecar bench-cluster bench-http install clean

help: ## Show this help
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: ## Find or install the tools for building and testing
	hack/setup.sh

demo: ## Run the demo: real Envoys, DNS and traffic between namespaces; KEEP=1 leaves it running
	hack/demo.sh

demo-cluster: ## Run the demo of slices that move by themselves, and draw it: target/demo-cluster.svg
	hack/demo-cluster.sh

example: ## Run an example: NAME=build-cache and such; without NAME it lists them; ARGS="files=1000"
	examples/run.sh $(NAME) $(ARGS)

build: ## Build the workspace in release mode
	cargo build --workspace --release --locked

filter: ## Build the Envoy module and print its path
	hack/module.sh

test: ## Run all checks, as CI does; works on a fresh clone
	hack/test.sh

lint: ## Check formatting, lints, docs, dependencies, scripts and Python
	hack/test.sh lint

test-native: ## Run the workspace tests on this machine
	hack/test.sh native

test-wasm: ## Run the tests compiled to wasm32, under Node.js
	hack/test.sh wasm

deny: ## Check licences, bans, sources and, if the database can be fetched, advisories
	hack/deny.sh

cross-check: ## Type-check rules and cli for Windows and macOS, and the pure crates without std
	hack/test.sh cross

e2e: ## Run the end-to-end scenarios: real Envoys in namespaces; see e2e/run.py --help
	e2e/run.py

chart: ## Check the Helm chart; needs no cluster
	hack/chart.sh

kind-up: ## Create a kind cluster with Istio; FAMILY=ipv6|dual (default: ipv6); see kind-cluster/README.md
	kind-cluster/up.sh

kind-down: ## Delete that cluster; keeps what was built or pulled for it
	kind-cluster/down.sh

kind-load: ## Load an image into the cluster: IMAGE=name:tag, or an archive
	kind-cluster/load.sh $(IMAGE)

kind-smoke: ## Check in the cluster that sidecars get the filter and enforce it
	kind-cluster/smoke.sh

kind-e2e: ## Run the scenarios in the cluster: chart, traffic, changes, outages; see e2e/run.py --help
	e2e/run.py --kind

fuzz: ## Run each fuzz target for SECONDS (default 60)
	hack/fuzz.sh $(SECONDS)

mutants: ## Run mutation tests of rules and slices; takes hours
	hack/mutants.sh

bench-rules: ## Time the operations of rules, and count instructions under valgrind
	cargo run --release --locked -p ssa-bench -- rules

bench-sidecar: ## Measure Envoy's CPU time per connection with and without the filter; see ARGS=--help
	cargo run --release --locked -p ssa-bench -- sidecar $(ARGS)

bench-http: ## Measure requests that go where their objects are, beside Envoy's Maglev and ring hash; ARGS=ROUNDS
	hack/bench-http.sh $(ARGS)

bench-cluster: ## Measure agents and controllers at rest, and 4 to 5 endpoints beside Envoy's consistent hashing
	hack/bench-cluster.sh

install: ## Install the ssa command for this user
	cargo install --locked --path cli

clean: ## Remove build artifacts from the tree
	cargo clean
	rm -rf .cache mutants.out* fuzz/target fuzz/artifacts
