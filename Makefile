# Everything here runs in .venv, which is made from requirements-dev.lock when it is first needed
# (what `make bench` compares with, in an environment of its own).
# Nothing has to be installed before but make and a Python 3 to start from. PYTHON_VERSION (3.12 to
# 3.14) chooses the interpreter of a new .venv; by default it is the newest that is here.

PYTHON := .venv/bin/python

# `make check` connects to nothing: no database listens on port 1, and Django need not say so.
NO_DATABASE := DATABASE_URL=postgresql://127.0.0.1:1/none DJANGO_SETTINGS_MODULE=settings.test
NO_HISTORY := -W "ignore:Got an error checking a consistent migration history:RuntimeWarning"
# What production insists on, thrown away at once.
PRODUCTION := DJANGO_SETTINGS_MODULE=settings.prod ALLOWED_HOSTS=rollcall.example \
	PUBLIC_URL=https://rollcall.example DATABASE_URL=postgresql://127.0.0.1:1/none \
	REDIS_URL=redis://127.0.0.1:1/0 QUEUE_URL=redis://127.0.0.1:1/1 SENDGRID_API_KEY=none \
	EMAIL_FROM=rollcall@rollcall.example VONAGE_API_KEY=none VONAGE_API_SECRET=none \
	SMS_FROM=Rollcall SMS_COUNTRIES=* SECRET_KEY=$$($(PYTHON) -c "import secrets; print(secrets.token_hex(32))")

.PHONY: help run test check load bench

help:
	@echo "make run     the whole service on this machine; PORT=8000 and DATA_DIR=.data can be set"
	@echo "make test    the tests; LONG=1 for the large counts, ARGS='-k signup' for pytest"
	@echo "make check   lint, types, import contracts, migrations, deploy check, OpenAPI"
	@echo "make load    the load profiles; ARGS are theirs"
	@echo "make bench   beside its peers, 15 minutes; ARGS=--quick for three, or names of parts; see docs/bench.md"

# exec, so that signals reach the supervisor itself; and it is told make's pid, to end with it.
run: .venv/.installed
	@exec $(PYTHON) -m local --parent $$PPID

test: .venv/.installed
	LONG=$(LONG) $(PYTHON) -m pytest -n 2 --dist worksteal $(ARGS)

load: .venv/.installed
	@exec $(PYTHON) -m loadtests $(ARGS)

# Rollcall's own processes and the Python peers run on one interpreter: that of .venv, or another one
# (BENCH_PYTHON=/path/to/python), each in an environment of its own.
BENCH_VENV := .cache/bench-venv$(subst /,-,$(BENCH_PYTHON))

bench: .venv/.installed $(BENCH_VENV)/.installed
	@BENCH_VENV=$(BENCH_VENV) exec $(PYTHON) -m loadtests.bench $(ARGS)

check: .venv/.installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	@echo "migrations:" && $(NO_DATABASE) $(PYTHON) $(NO_HISTORY) manage.py makemigrations --check --dry-run
	@echo "deploy check:" && $(PRODUCTION) $(PYTHON) manage.py check --deploy --fail-level WARNING
	@echo "OpenAPI:" && $(NO_DATABASE) $(PYTHON) manage.py spectacular --validate --fail-on-warn --file /dev/null

$(BENCH_VENV)/.installed: requirements-bench.lock local/environment.sh | .venv/.installed
	@sh local/environment.sh $(BENCH_VENV) requirements-bench.lock $(or $(BENCH_PYTHON),$(PYTHON))

.venv/.installed: requirements-dev.lock local/environment.sh
	@sh local/environment.sh .venv requirements-dev.lock "$(PYTHON_VERSION)"
