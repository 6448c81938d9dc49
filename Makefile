# Everything runs in .venv, created from requirements-dev.lock on first use (the peers of `make
# bench` in a separate environment). Only make and a Python 3 must be installed. PYTHON_VERSION (3.12 to
# 3.14) chooses the interpreter of a new .venv; by default it is the newest that is here.

PYTHON := .venv/bin/python
# Every process would compile all of Rollcall's modules at its start, wherever this is set.
export PYTHONDONTWRITEBYTECODE :=

# `make check` needs no database: port 1 is closed, and Django's warning about it is ignored.
OFFLINE_ENV := DATABASE_URL=postgresql://127.0.0.1:1/none DJANGO_SETTINGS_MODULE=settings.test
IGNORE_HISTORY_WARNING := -W "ignore:Got an error checking a consistent migration history:RuntimeWarning"
# What production requires, with throw-away values.
PROD_ENV := DJANGO_SETTINGS_MODULE=settings.prod ALLOWED_HOSTS=rollcall.example \
	PUBLIC_URL=https://rollcall.example DATABASE_URL=postgresql://127.0.0.1:1/none \
	REDIS_URL=redis://127.0.0.1:1/0 QUEUE_URL=redis://127.0.0.1:1/1 SENDGRID_API_KEY=none \
	EMAIL_FROM=rollcall@rollcall.example VONAGE_API_KEY=none VONAGE_API_SECRET=none \
	SMS_FROM=Rollcall SMS_COUNTRIES=* TRUSTED_PROXIES=0 \
	SECRET_KEY=$$($(PYTHON) -c "import secrets; print(secrets.token_hex(32))")

SBOM := sbom.json

.PHONY: help run dev manage example doctor docs test check sbom load load-ui bench faults clients

help:
	@echo "make run     the whole service on this machine; PORT=8000 and DATA_DIR=.data can be set"
	@echo "make dev     the same with DEBUG=1; it restarts what runs when a source file changes"
	@echo "make manage  a command of the service that runs: ARGS='backends make shop', ARGS=help; DATA_DIR as for make run"
	@echo "make example the service, and a web app on another origin that uses it; EXAMPLE_PORT=8001 can be set"
	@echo "make doctor  what is wrong on this machine, and how to fix it"
	@echo "make docs    the documentation, in .cache/site; ARGS=serve to read it while writing"
	@echo "make test    the tests; LONG=1 for the large counts, ARGS='-k signup' for pytest"
	@echo "make check   lint, types, import contracts, migrations, deploy check, OpenAPI, vulnerabilities"
	@echo "make clients generates the Python and the TypeScript client from the OpenAPI document; needs Node.js 20 or newer"
	@echo "make sbom    the software bill of materials, in sbom.json (CycloneDX); SBOM is the file"
	@echo "make load    PROFILE=steady, peak, spike, soak, signup-storm, cold or knee; HOST=http://…, DURATION=10m,"
	@echo "             RATE, WRITES, LIMIT=read_p99=3, PEOPLE, REDIS, OUT; exit 1 if a limit is broken; docs/load-tests.md"
	@echo "make load-ui locust's web page on a service of its own, or HOST"
	@echo "make faults  breaks one part after another under load, and reconciles every answer; TOPOLOGY=single, sentinel,"
	@echo "             cluster or pair; SEED=7, SEEDS=20 or RANDOM=1h; ONLY=profiles; exit 1 if anything is wrong; docs/faults.md"
	@echo "make bench   the benchmark with its peers, 15 minutes; ARGS=--quick for three, or section names; docs/performance.md"

# exec: signals reach the supervisor itself; with make's pid it exits when make does.
run: .venv/.installed
	@exec $(PYTHON) -m local --parent-pid $$PPID

dev: .venv/.installed
	@DEBUG=$${DEBUG:-1} exec $(PYTHON) -m local --reload --parent-pid $$PPID

manage: .venv/.installed
	@file="$$(realpath "$${DATA_DIR:-.data}")/environment"; \
	test -f "$$file" || { echo "nothing has run here: first make run, in another terminal" >&2; exit 1; }; \
	. "$$file" && exec $(PYTHON) manage.py $(ARGS)

example: .venv/.installed
	@exec $(PYTHON) -m local --example --parent-pid $$PPID

# With any Python from 3.8 on, before anything is installed. The first one on the PATH may be a version
# manager's that is not set up.
doctor:
	@for python in python3 /usr/bin/python3 $(PYTHON); do \
		$$python -c "import sys; sys.exit(sys.version_info < (3, 8))" 2>/dev/null && \
			PYTHONDONTWRITEBYTECODE=1 exec $$python -m local.doctor; \
	done; echo "WRONG  python  there is none; install Python 3.12 or newer"; exit 1

# In an environment of their own: nothing else needs these packages.
DOCS_VENV := .cache/docs-venv
docs: $(DOCS_VENV)/.installed
	@NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs $(or $(ARGS),build --strict --quiet) && \
		echo "docs: .cache/site/index.html"

test: .venv/.installed
	LONG=$(LONG) $(PYTHON) -m pytest -n 3 --dist worksteal $(ARGS)

LOAD_OPTIONS = $(if $(HOST),--host "$(HOST)") $(if $(DURATION),--duration "$(DURATION)") $(if $(RATE),--rate "$(RATE)") \
	$(if $(WRITES),--writes "$(WRITES)") $(if $(LIMIT),--limit "$(LIMIT)") $(if $(PEOPLE),--people "$(PEOPLE)") \
	$(if $(REDIS),--redis "$(REDIS)") $(if $(OUT),--out "$(OUT)") $(ARGS)

load: .venv/.installed
	@exec $(PYTHON) -m loadtests $(PROFILE) $(LOAD_OPTIONS)

load-ui: .venv/.installed
	@exec $(PYTHON) -m loadtests $(LOAD_OPTIONS) --ui

FAULTS_OPTIONS = $(if $(TOPOLOGY),--topology "$(TOPOLOGY)") $(if $(SEED),--seed "$(SEED)") $(if $(SEEDS),--seeds "$(SEEDS)") \
	$(if $(RANDOM),--random "$(RANDOM)") $(if $(ONLY),--only "$(ONLY)") $(if $(OUT),--out "$(OUT)") $(ARGS)

faults: .venv/.installed
	@exec $(PYTHON) -m loadtests.faults $(FAULTS_OPTIONS)

# Rollcall and the Python peers run on one interpreter: that of .venv, or BENCH_PYTHON, each with its
# own environment.
BENCH_VENV := .cache/bench-venv$(subst /,-,$(BENCH_PYTHON))

bench: .venv/.installed $(BENCH_VENV)/.installed
	@BENCH_VENV=$(BENCH_VENV) exec $(PYTHON) -m loadtests.bench $(ARGS)

check: .venv/.installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	@echo "migrations:" && $(OFFLINE_ENV) $(PYTHON) $(IGNORE_HISTORY_WARNING) manage.py makemigrations --check --dry-run
	@echo "deploy check:" && $(PROD_ENV) $(PYTHON) manage.py check --deploy --fail-level WARNING
	@echo "OpenAPI:" && $(OFFLINE_ENV) $(PYTHON) manage.py spectacular --validate --fail-on-warn --file /dev/null

	@echo "vulnerabilities:" && $(PYTHON) -m local.audit requirements.lock

clients: .venv/.installed
	@$(PYTHON) -m clients.generate

# Of what is deployed. Without time and serial number, and not validated against the schema, which
# takes most of the time: the test looks at it.
sbom: .venv/.installed
	$(PYTHON) -m cyclonedx_py requirements requirements.lock --pyproject pyproject.toml \
		--output-reproducible --no-validate --output-file $(SBOM)

$(BENCH_VENV)/.installed: requirements-bench.lock local/install.sh | .venv/.installed
	@sh local/install.sh $(BENCH_VENV) requirements-bench.lock $(or $(BENCH_PYTHON),$(PYTHON))

$(DOCS_VENV)/.installed: requirements-docs.lock local/install.sh
	@sh local/install.sh $(DOCS_VENV) requirements-docs.lock "$(PYTHON_VERSION)"

.venv/.installed: requirements-dev.lock local/install.sh
	@sh local/install.sh .venv requirements-dev.lock "$(PYTHON_VERSION)"
