.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -euo pipefail -c

PYTHON := .venv/bin/python
PORT ?= 8000
WORKERS ?= 1
THREADS ?= 2
JOBS ?= 2
CASES ?= tests/contract/golden
export TARGET USERS RAMP TIME CONFIRM
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help
help: ## what one can do here
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

.PHONY: setup
setup: ## the virtual environment with every pinned dependency
	@$(PYTHON) -c '' 2>/dev/null || rm -f .venv/.complete
	@$(MAKE) --silent --no-print-directory .venv/.complete

# Remade when it is broken (a Python that went away), filled anew when a pin changes.
.venv/.complete: requirements.txt requirements-dev.txt
	@$(PYTHON) -c '' 2>/dev/null || { python=$$(.ci/python) && "$$python" -m venv --clear .venv; }
	@.ci/install $(PYTHON) requirements-dev.txt
	@touch $@

.PHONY: run
run: ## the server on PORT (8000), with a database of its own and demo data
	@.ci/port-free $(PORT) run
	@$(MAKE) --silent --no-print-directory setup
	@$(PYTHON) -m api.demo_tokens
	@$(PYTHON) manage.py seed_demo --migrate --port $(PORT)
	@.ci/what-stays
	@DJANGO_SETTINGS_MODULE=$${DJANGO_SETTINGS_MODULE:-settings.local} exec $(PYTHON) -m gunicorn settings.wsgi \
		--bind 127.0.0.1:$(PORT) --worker-class gthread --workers $(WORKERS) --threads $(THREADS) --no-control-socket

.PHONY: dev
dev: ## the same with Django's runserver: starts again when a file changes
	@.ci/port-free $(PORT) dev
	@$(MAKE) --silent --no-print-directory setup
	@$(PYTHON) manage.py seed_demo --migrate --port $(PORT)
	@.ci/what-stays
	@DJANGO_SETTINGS_MODULE=$${DJANGO_SETTINGS_MODULE:-settings.local} exec $(PYTHON) manage.py runserver $(PORT)

.PHONY: test
test: setup ## every test (ARGS="-k word" for some, JOBS=1 for one process)
	@$(PYTHON) -m pytest -n $(JOBS) $(ARGS)

.PHONY: lint
lint: setup ## style, types, migrations and Django's own checks
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -m tests.guards.sql_files
	DJANGO_SETTINGS_MODULE=settings.test $(PYTHON) manage.py makemigrations --check --dry-run
	DJANGO_SETTINGS_MODULE=settings.test $(PYTHON) manage.py check --fail-level WARNING

.PHONY: check
check: lint test ## lint, then every test

.PHONY: format
format: setup ## rewrites the source as lint wants it
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

.PHONY: parity
parity: setup ## the recorded cases of CASES (K=word, V=1 all differences, LEGACY=1 the host's answers)
	@$(PYTHON) tests/contract/parity.py "$(CASES)" $(if $(K),-k "$(K)") $(if $(V),-v) $(if $(LEGACY),--legacy)

.PHONY: bench
bench: setup ## latency and throughput beside the floor and the baseline, into bench/results.json
	@$(PYTHON) -m bench $(ARGS)

.PHONY: load
load: setup ## users asking TARGET=http://127.0.0.1:8000 (USERS=20, RAMP=2 a second, TIME=60s), a report in HTML
	@$(PYTHON) -m pip install --quiet -r requirements-load.txt
	@load/run $(PYTHON)

.PHONY: sizes
sizes: setup ## bytes per address in PostgreSQL, into bench/sizes.json
	@$(PYTHON) -m bench.sizes

.PHONY: charts
charts: setup ## the charts and every table of the documents, anew from bench/results.json
	@$(PYTHON) -m pip install --quiet -r requirements-docs.txt
	@$(PYTHON) -m bench.charts
	@$(PYTHON) .ci/documents.py

.PHONY: docs
docs: setup ## the contents and tables of the documents, anew from the code
	@$(PYTHON) .ci/documents.py

.PHONY: diagrams
diagrams: ## draws docs/img/architecture.dot, light and dark (graphviz, installed by apt where missing)
	@command -v dot >/dev/null || { apt-get update -q && apt-get install -yq graphviz; }
	@for theme in light dark; do sed -f docs/img/$$theme.sed docs/img/architecture.dot \
		| dot -Tsvg -Gid=source_$$(sha256sum < docs/img/architecture.dot | cut -c 1-16) > docs/img/architecture-$$theme.svg; done

.PHONY: bench-versions
bench-versions: setup ## this checkout beside another revision (REV=HEAD~1), the same requests to both in turn
	@$(PYTHON) -m bench.versions $(or $(REV),HEAD~1) $(ARGS)

.PHONY: bench-pgbouncer
bench-pgbouncer: setup ## connections in five ways, one through Debian's PgBouncer (installed by apt where missing)
	@command -v pgbouncer /usr/sbin/pgbouncer >/dev/null || { apt-get update -q && apt-get install -yq pgbouncer; }
	@$(PYTHON) -m bench --only connections --pgbouncer $(ARGS)

.PHONY: explore
explore: setup ## the property tests with fresh seeds (ROUNDS=3, SEED=n for one seed again, ARGS="-k word")
	@for seed in $(or $(SEED),$$(shuf -i 1-4294967295 -n $(or $(ROUNDS),3))); do \
		echo "make explore SEED=$$seed"; \
		HYPOTHESIS=explore $(PYTHON) -m pytest -q -n $(JOBS) -m hypothesis --hypothesis-seed=$$seed $(ARGS); done

.PHONY: keep-release
keep-release: setup ## keeps the package as the release of its version, for the tests of upgrades: the last step before a release
	@$(PYTHON) -m tests.upgrade.keep

.PHONY: schemathesis
schemathesis: setup ## thousands of requests made of the OpenAPI document (EXAMPLES=200 of each kind)
	@SCHEMATHESIS_EXAMPLES=$(or $(EXAMPLES),200) $(PYTHON) -m pytest tests/http/test_schemathesis.py $(ARGS)

.PHONY: demo
demo: setup ## a slow host with this app in front, traffic and a console (PORT=8001, FAULT=slow to begin broken)
	@$(PYTHON) -m demo --port $(if $(filter file,$(origin PORT)),8001,$(PORT)) $(if $(FAULT),--fault $(FAULT)) $(ARGS)

.PHONY: demo-fault
demo-fault: setup ## breaks the demo's fast path, or mends it (FAULT=throw, slow, wrong or none)
	@$(PYTHON) -m demo fault $(or $(FAULT),none)

.PHONY: rollout-trial
rollout-trial: setup ## rollouts in compressed time, broken at 25 % in three ways (twenty minutes)
	@$(PYTHON) -m demo.trial $(ARGS)

.PHONY: monitoring
monitoring: setup ## dashboards and alerts of ops/ on a real scrape (Debian's Prometheus, installed by apt where missing)
	@command -v prometheus promtool >/dev/null || { apt-get update -q && apt-get install -yq --no-install-recommends prometheus; }
	@$(PYTHON) -m pip install --quiet -r requirements-monitoring.txt
	@$(PYTHON) ops/check.py

.PHONY: guard-simulation
guard-simulation: setup ## the guard on equal sides and on worse ones, simulated (ARGS="--judgements 1000000")
	@$(PYTHON) -m bench.guard_simulation $(ARGS)

.PHONY: guard-replay
guard-replay: setup ## twelve hours of figures of all operations through the guard, on a real PostgreSQL (some minutes)
	@$(PYTHON) -m pytest -q -n 0 -s attacks/test_replay.py $(ARGS)

.PHONY: guard-attacks
guard-attacks: setup ## what was seen to fool the guard, done to real servers (ten minutes; ARGS="-k uvicorn")
	@$(PYTHON) -m pytest -q -n 0 -s attacks/test_guard.py $(ARGS)

.PHONY: failover
failover: setup ## two clusters, one a replica, promoted under load, and random kills (ARGS="--failovers 30 --kills 60")
	@$(PYTHON) -m faults.failover $(ARGS)

.PHONY: network
network: setup ## the network to PostgreSQL dies without a word: how long requests wait (all of it as root)
	@$(PYTHON) -m faults.network $(ARGS)

.PHONY: pgbouncer
pgbouncer: setup ## the recorded cases, doctor and a server behind Debian's PgBouncer (installed by apt where missing)
	@command -v pgbouncer /usr/sbin/pgbouncer >/dev/null || { apt-get update -q && apt-get install -yq pgbouncer; }
	@$(PYTHON) -m faults.pgbouncer $(ARGS)

.PHONY: nginx
nginx: setup ## the nginx of docs/operations.md against clients that stall (Debian's, installed by apt where missing)
	@command -v nginx /usr/sbin/nginx >/dev/null || { apt-get update -q && apt-get install -yq nginx-light; }
	@$(PYTHON) -m faults.nginx $(ARGS)

.PHONY: browser
browser: setup ## the admin's pages in Chromium (Debian's, installed by apt where missing)
	@command -v chromium >/dev/null || { apt-get update -q && apt-get install -yq chromium; }
	@$(PYTHON) -m pip install --quiet -r requirements-browser.txt
	@$(PYTHON) -m pytest browser $(ARGS)

.PHONY: matrix
matrix: setup ## the suite on every supported Django, Python, driver and django-ninja
	@$(PYTHON) -m nox $(ARGS)

.PHONY: release-check
release-check: setup ## what a release still needs (ARGS="--only version,wheel" for some of it)
	@$(PYTHON) -m pip install --quiet -r requirements-release.txt
	@$(PYTHON) .ci/release_check.py $(ARGS)

.PHONY: db-start
db-start: setup ## starts the embedded PostgreSQL
	@$(PYTHON) -m settings.embedded_postgres start

.PHONY: db-stop
db-stop: ## stops it, and that of the tests
	@if [ -d .postgres ] && [ -x $(PYTHON) ]; then \
		$(PYTHON) -m settings.embedded_postgres test stop; $(PYTHON) -m settings.embedded_postgres stop; fi

.PHONY: db-reset
db-reset: setup ## stops both and removes their data
	@$(PYTHON) -m settings.embedded_postgres test reset
	@$(PYTHON) -m settings.embedded_postgres reset

.PHONY: clean
clean: db-stop ## removes what was made here: environment, database, caches
	rm -rf .venv .postgres .demo .nox .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist *.egg-info staticfiles
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
