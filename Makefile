# The daily tools. What they do is in scripts/, so that it can be read, and run without make.
.DEFAULT_GOAL := help
.PHONY: help build run up down status deploy test break audit load fmt clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

build: ## build the release binary
	cargo build --release --locked -p tertulia

run: ## run one node with SQLite and nothing else
	cargo run --release --locked -p tertulia -- serve

up: build ## start a cluster here: Postgres, Redis, NODES=3 nodes, HAProxy
	scripts/cluster up

down: ## stop that cluster; what was said in it is kept
	scripts/cluster down

status: ## show what of that cluster runs
	scripts/cluster status

deploy: ## replace the nodes of a running compose cluster one after another, and tell what that cost people
	scripts/deploy $(ARGS)

test: ## everything that must hold before a change goes in
	scripts/test

break: ## break a cluster again and again and prove that nothing was lost: make break ARGS="--seed=7 --seconds=3600"
	scripts/break $(ARGS)

audit: ## check licences, advisories and sources of the dependencies (AUDIT="bans licenses sources" works without a network)
	@cargo deny --version >/dev/null 2>&1 || cargo install --locked cargo-deny
	cargo deny check $(AUDIT)

load: ## the load test: make load ARGS="..."
	cargo run --release --locked -p loadtest -- $(or $(ARGS),--help)

fmt: ## format the Rust code
	cargo fmt --all

clean: ## remove what was built (a cluster's data stays in .cluster/)
	cargo clean
