# Everything a person needs: `make demo` to see it, `make test` to check it, `make help` for more.

SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
PEERS := .bench
BIN := $(VENV)/bin
UV_VERSION := 0.13.8
UV := $(shell command -v uv 2>/dev/null || echo .tools/bin/uv)
MEMBERS := contracts libs/runtime libs/bus libs/devkit \
	services/embedding services/gateway services/graph-loader services/llm-executor \
	services/mention-analyzer services/recommender deploy/allinone
CACHE := $(or $(LIMELIGHT_CACHE),$(HOME)/.cache/limelight)
PROMETHEUS := $(CACHE)/prometheus
KCAT := $(CACHE)/kcat
SOURCES := contracts libs services deploy tests

##@ Start here
.PHONY: demo demo-marketing up
demo: setup ## Run a small visibility run and serve its report (ONCE=1: end after the report)
	@$(BIN)/limelight demo $(if $(ONCE),--once)

demo-marketing: setup ## Conversations in, recommendations out, on invented people (ONCE=1)
	@$(BIN)/limelight demo marketing $(if $(ONCE),--once)

up: setup ## Run the whole platform in this process, data in ./.limelight
	@$(BIN)/limelight up

##@ Run the services apart
.PHONY: stack distributed images
stack: setup ## Real servers for the services, as local processes (data in .limelight/stack)
	@$(BIN)/python -m devkit.stack

distributed: setup ## The same and every service, each a process of its own
	@$(BIN)/python -m devkit.stack --services

DOCKER ?= docker
TAG := $(or $(LIMELIGHT_VERSION),latest)
SERVICES := $(patsubst services/%,%,$(filter services/%,$(MEMBERS)))
images: ## Build the image of every service (BUILD="--network host": options)
	@for service in $(SERVICES); do echo "limelight/$$service:$(TAG) ..."; \
		DOCKER_BUILDKIT=1 $(DOCKER) build -q $(BUILD) -f deploy/Dockerfile \
			--build-arg SERVICE=$$service -t limelight/$$service:$(TAG) . || exit 1; done

##@ Check
.PHONY: test unit check lint types imports contracts chaos sweep
test: check unit ## Everything that CI runs

unit: setup server-tools servers ## All tests, two at a time
	PATH="$$PATH:$(PROMETHEUS)/usr/bin:$(KCAT)/bin" $(BIN)/pytest -n 2 --dist loadgroup $(TESTS)

check: lint types imports contracts ## Style, types, dependency rules, generated files

chaos: setup ## The services apart, killed and cut off for a quarter of an hour (docs/reliability.md)
	@$(BIN)/python -m tests.chaos.distributed $(if $(SHORT),--short) $(addprefix --seed ,$(SEED))

sweep: setup ## kill -9 at every named point of delivery, of which `make test` takes a part
	LIMELIGHT_CHAOS=long $(BIN)/pytest -n 2 tests/chaos/test_crash_sweep.py tests/chaos/test_marketing_kills.py

lint: setup ## ruff
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: setup ## mypy --strict
	$(BIN)/mypy

imports: setup ## import-linter
	$(BIN)/lint-imports --no-cache

contracts: setup ## Generated schemas and docs are up to date
	$(BIN)/python -m contracts.generate --check
	$(BIN)/python -m gateway.metrics_page --check
	$(BIN)/python -m deploy.observability --check
	$(BIN)/python -m deploy.settings_page --check

##@ Measure
.PHONY: bench bench-bus bench-start bench-executor bench-detection bench-visibility bench-reports \
	bench-coverage bench-recommendations bench-freshness bench-launches bench-reads bench-growth \
	bench-embedding bench-distributed
bench: bench-bus bench-start bench-executor bench-detection bench-visibility bench-reports \
	bench-coverage bench-recommendations bench-freshness bench-launches bench-reads bench-growth \
	bench-embedding bench-distributed ## All benchmarks; figures go to docs/benchmarks.md by hand

bench-bus: setup ## Records per second through the bus, beside bare aiokafka and plain FastStream
	$(BIN)/python tests/load/bus.py

bench-start: setup ## Seconds from start to report, first and second
	$(BIN)/python tests/load/startup.py

bench-executor: setup $(PEERS)/.ready ## llm-executor: throughput beside SDKs, faults, kills, backlog
	$(BIN)/python tests/load/executor.py $(if $(SHORT),--short) $(addprefix --only ,$(ONLY))

bench-detection: setup $(PEERS)-detection/.ready ## Brands found per second, beside spaCy and a regex
	PYTHONPATH=services/mention-analyzer/src:libs/devkit/src $(PEERS)-detection/bin/python tests/load/detection.py

bench-visibility: setup ## A whole run from POST to report, at 1,000 to 30,000 completions
	$(BIN)/python tests/load/visibility.py $(if $(SHORT),--short)

bench-distributed: setup ## The same with each service its own process on Kafka, and on two replicas
	$(BIN)/python tests/load/distributed.py $(if $(SHORT),--short)

bench-reports: setup ## Reports of a tenant with a million analysed answers
	$(BIN)/python tests/load/reports.py $(if $(SHORT),--short)

bench-coverage: setup ## How often the intervals of reports hold the truth
	$(BIN)/python tests/load/coverage.py

bench-recommendations: setup ## Quality of recommendations, beside simple rankers (needs the data)
	$(BIN)/python tests/load/recommendations.py

bench-freshness: setup ## From an event accepted to its recommendation readable, at 50 to 200 a second
	$(BIN)/python tests/load/freshness.py $(if $(SHORT),--short)

bench-launches: setup ## When people see a campaign that comes after they have spoken
	$(BIN)/python tests/load/launches.py $(if $(SHORT),--short)

bench-reads: setup ## Reads of recommendations, beside computing them and beside bare Redis
	$(BIN)/python tests/load/recommendation_reads.py

bench-growth: setup ## What an event costs with 1,000 to 100,000 users (half an hour)
	$(BIN)/python tests/load/growth.py

bench-embedding: setup $(PEERS)-embedding/.ready ## Texts embedded per second, beside torch (5 GB)
	PYTHONPATH=$(BENCH_PATH) $(PEERS)-embedding/bin/python tests/load/embedding.py

BENCH_PATH := services/embedding/src:libs/runtime/src:libs/bus/src:contracts/src
$(PEERS)-embedding/.ready: tests/load/peers/embedding.txt | tools
	@echo "Installing what embedding is compared with into $(PEERS)-embedding (5 GB) ..."
	@$(UV) venv --quiet --clear --python "$$(command -v $(PYTHON))" $(PEERS)-embedding
	@VIRTUAL_ENV=$(PEERS)-embedding $(UV) pip install --quiet --no-deps --require-hashes -r $<
	@touch $@

# Has pins that differ from ours. Without a network its row is left out, which the row says.
$(PEERS)-detection/.ready: tests/load/peers/detection.txt | tools
	@echo "Installing what detection is compared with into $(PEERS)-detection ..."
	@$(UV) venv --quiet --clear --python "$$(command -v $(PYTHON))" $(PEERS)-detection
	@VIRTUAL_ENV=$(PEERS)-detection $(UV) pip install --quiet --require-hashes -r $<
	@touch $@

$(PEERS)/.ready: tests/load/peers/requirements.txt | tools
	@echo "Installing what we are compared with into $(PEERS) (about 240 MB) ..."
	@$(UV) venv --quiet --clear --python "$$(command -v $(PYTHON))" $(PEERS)
	@if VIRTUAL_ENV=$(PEERS) $(UV) pip install --quiet --require-hashes -r $<; \
		then touch $@; else rm -rf $(PEERS); fi

##@ Change
.PHONY: format generate lock release-contracts
format: setup ## Write code in the house style
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

generate: setup ## Schemas, AsyncAPI and docs/events.md from the contracts
	$(BIN)/python -m contracts.generate
	$(BIN)/python -m gateway.metrics_page
	$(BIN)/python -m deploy.observability
	$(BIN)/python -m deploy.settings_page

EXPORT := export -q --no-emit-workspace --format requirements-txt --no-header
lock: $(VENV)/bin/python ## Resolve dependencies anew into the two locks: all, and what images need
	$(UV) $(EXPORT) --all-packages --upgrade -o requirements.lock
	$(UV) $(EXPORT) --no-dev $(patsubst services/%,--package limelight-%,$(filter services/%,$(MEMBERS))) \
		-o requirements-services.lock

release-contracts: setup ## Freeze today's contracts: make release-contracts VERSION=0.2.0
	$(BIN)/python -m contracts.release $(VERSION)

##@ Prepare
.PHONY: setup clean
setup: $(VENV)/.ready ## Virtual environment with everything pinned; done once

$(VENV)/.ready: requirements.lock pyproject.toml $(MEMBERS:=/pyproject.toml) | $(VENV)/bin/python
	@echo "Installing packages (about 350 MB the first time) ..."
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --require-hashes --no-deps -r requirements.lock
	@VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps $(MEMBERS:%=-e %)
	@touch $@

$(VENV)/bin/python: | tools
	@$(UV) venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV)

# Taken out of Debian's package, not installed: nothing on the machine changes.
.PHONY: server-tools
server-tools:
	@command -v promtool >/dev/null || [ -x $(PROMETHEUS)/usr/bin/promtool ] || { \
		echo "Fetching Debian's prometheus for the tests of alert rules and dashboards ..."; \
		mkdir -p $(PROMETHEUS) && cd $(PROMETHEUS) && \
		{ apt-get download -qq prometheus 2>/dev/null || \
			{ apt-get update -qq && apt-get download -qq prometheus; }; } && \
		dpkg -x prometheus_*.deb . && rm prometheus_*.deb; } || \
		echo "No promtool can be had here: tests of alert rules and dashboards are skipped."
	@command -v kcat >/dev/null || [ -x $(KCAT)/bin/kcat ] || { \
		echo "Fetching Debian's kcat for the tests of producers outside ..."; \
		mkdir -p $(KCAT)/bin && cd $(KCAT) && \
		apt-get download -qq kcat librdkafka1 libyajl2 libsasl2-2 && \
		for package in *.deb; do dpkg -x $$package . && rm $$package; done && \
		printf '#!/bin/sh\nLD_LIBRARY_PATH=$$(echo %s/usr/lib/*-linux-gnu) exec %s/usr/bin/kcat "$$@"\n' \
			$(KCAT) $(KCAT) > bin/kcat && chmod +x bin/kcat; } || \
		echo "No kcat can be had here: its example is not tested."

.PHONY: servers
servers: setup
	@$(BIN)/python -m devkit.servers
	@$(BIN)/python -m tests.deploy.kustomize

.PHONY: tools
tools:
	@$(UV) --version >/dev/null 2>&1 || { \
		echo "Installing uv $(UV_VERSION) into .tools ..."; \
		$(PYTHON) -m venv .tools && .tools/bin/pip install --disable-pip-version-check -q uv==$(UV_VERSION); }

clean: ## Remove the environment and caches, keep .limelight
	rm -rf $(VENV) $(PEERS) .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

##@ Help
.PHONY: help
help: ## This page
	@awk 'BEGIN {FS = ":.*##"; print "Limelight\n\nUsage: make <target>"} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*##/ {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
