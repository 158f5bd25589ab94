# Everything a developer or a CI machine runs; `make help` lists it. The one test command is `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.NOTPARALLEL:

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Tests that drive real programs wait half of their time: one worker more than there are cores, and four at the most.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n > 3 ? 4 : n + 1)))
RUNS ?= 5
# For make disk-faults: into how many tests each story is divided.
FAULT_SHARES ?= 8
# For make fuzz: an environment of its own, since its tool is large and made for few Pythons; seconds per target; which.
FUZZ_VENV := .venv-fuzz
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?=
# For make rpm: the versions of Python, and the machines, to build for.
RPM_PYTHONS ?= 3.12
RPM_MACHINES ?= x86_64 aarch64
# For make test-rpm: the Python that is /usr/bin/python3 here.
RPM_TEST_PYTHON ?= $(shell /usr/bin/python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
# More for pytest: make test ARGS="-k gate -x"
ARGS ?=

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: test
test: venv parts ## The one test command: environment, real parts, lint, types, tests
	@# All of them report, whichever fails; pytest has the last word.
	@failed=0; \
	$(MAKE) --no-print-directory --keep-going lint types || failed=1; \
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS) || failed=$$?; \
	exit $$failed

.PHONY: test-service
test-service: venv parts ## The service on a booted systemd: install, reload by polkit, sandbox, reboot, upgrade (root, Debian)
	@.ci/service
	CERTD_TEST_SERVICE=1 $(BIN)/python -m pytest -s -p no:cacheprovider tests/service $(ARGS)

.PHONY: lint
lint: venv ## Style, bans and formatting (ruff)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: venv ## Types, strictly (mypy)
	$(BIN)/mypy

.PHONY: venv
venv: $(INSTALLED) ## The virtual environment: locked requirements and certd itself, editable

$(INSTALLED): requirements-test.lock pyproject.toml .ci/venv
	.ci/venv $(VENV)
	touch $@

.PHONY: parts
parts: ## Pebble, Apache, certbot, dehydrated for the tests: installed on Debian as root, else skipped
	.ci/parts

.PHONY: monitors
monitors: venv ## Install NRPE, a Zabbix agent and Prometheus, and run what docs/MONITORING.md says with them
	.ci/monitors
	$(BIN)/python -m pytest -q tests/docs/test_monitoring_snippets.py $(ARGS)

.PHONY: demo
demo: venv parts ## See certd work: a CA, a web server and a renewal on this machine, no root needed
	$(BIN)/certd demo

.PHONY: schema
schema: venv ## Write the JSON Schema of the configuration anew
	$(BIN)/python -c 'import json; from certd.challenges import OPTIONS; from certd.config import json_schema; \
	    print(json.dumps(json_schema(OPTIONS), indent=2, ensure_ascii=False))' > docs/certd.schema.json

.PHONY: kill
kill: venv parts ## SIGKILL certd at every act that changes anything, and start it again; prints how many there were
	CERTD_KILL_SHARES=$(WORKERS) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -rP --show-capture=stdout \
	    tests/killpoints $(ARGS)

.PHONY: kill-daemon
kill-daemon: venv parts ## The same for the whole daemon, threads and all, against Pebble (about half an hour)
	CERTD_KILL_SHARES=$(WORKERS) $(BIN)/python -m pytest -n $(WORKERS) -rP -k killed tests/system/test_kill.py $(ARGS)

.PHONY: hostile
hostile: venv parts ## A CA and a responder that misbehave in every way, one name limited among 100; counts the answers
	CERTD_HOSTILE_NAMES=100 $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal tests/hostile $(ARGS)

.PHONY: disk-faults
disk-faults: venv ## Refuse every call to the disk, with every error it can have, once and for half an hour
	CERTD_FAULT_SHARES=$(FAULT_SHARES) $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -rP \
	    --show-capture=stdout tests/diskfaults/test_disk_faults.py $(ARGS)

.PHONY: bench
bench: venv ## Measure, and print ratios side by side; nothing passes or fails
	$(BIN)/python tests/bench/run.py $(ARGS)

.PHONY: simulate
simulate: venv ## 100,000 certificates for three years in virtual time: does anything expire, or stampede?
	$(BIN)/python tests/simulate/run.py $(ARGS)

.PHONY: explore
explore: venv ## Interrupt the modelled engine at every step in every way, and by pairs; counts runs and violations
	$(BIN)/python tests/exploration/run.py $(ARGS)

.PHONY: vhosts
vhosts: venv parts ## 200 virtual hosts while somebody reloads, RUNS times: counts links moved meanwhile, and deaths
	@for run in $$(seq $(RUNS)); do \
	    $(BIN)/python -m pytest -q -s tests/system/test_two_hundred.py $(ARGS) | grep -E ' hosts, | passed| failed'; \
	done

.PHONY: fuzz
fuzz: ## Feed every parser of strangers' bytes, guided by coverage: FUZZ_SECONDS=60 each, FUZZ_TARGETS="ocsp chain"
	.ci/fuzz $(FUZZ_VENV)
	PYTHONPATH=.:tests $(FUZZ_VENV)/bin/python tests/fuzz/run.py --seconds $(FUZZ_SECONDS) $(FUZZ_TARGETS)

.PHONY: rpm
rpm: venv ## Build the packages into dist/: RPM_PYTHONS="3.11 3.12" RPM_MACHINES="x86_64 aarch64"
	@for version in $(RPM_PYTHONS); do for machine in $(RPM_MACHINES); do packaging/rpm $$version $$machine; done; done

.PHONY: test-rpm
test-rpm: venv ## Build the package for this machine twice, look into it; as root, install and remove it in an overlay
	.ci/install rpmlint || true
	packaging/rpm $(RPM_TEST_PYTHON) $$(uname -m) build/rpm
	packaging/rpm $(RPM_TEST_PYTHON) $$(uname -m) build/again
	CERTD_RPM=$$(ls -t build/rpm/*.rpm | head -n 1) CERTD_RPM_AGAIN=$$(ls -t build/again/*.rpm | head -n 1) \
	    $(BIN)/python -m pytest tests/packaging/test_built_rpm.py $(ARGS)

.PHONY: lock
lock: ## Lock the newest allowed requirements anew, and with them what the package bundles
	.ci/lock
	$(MAKE) --no-print-directory venv
	packaging/lock

.PHONY: clean
clean: ## Remove caches and build leftovers
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .fuzz
	find certd tests -name __pycache__ -type d -prune -exec rm -rf {} +
