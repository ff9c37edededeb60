# One vocabulary for the work, here and in continuous integration. All paths are relative: the checkout may lie anywhere.

PY = .venv/bin/python
BITCORP = $(PY) -m ops.main
READY = .venv/.ready
# Tests on real servers wait most of the time: three processes, each with servers of its own, keep two cores busy.
IN_PARALLEL = -n 3 --dist worksteal
# Without plugins that these tests do not need.
QUICKLY = $(PY) -m pytest -p no:schemathesis -p no:anyio -p no:logging -m "not servers and not slow and not long and not thorough"
# Tests of what runs as processes.
RUNNING = tests/agents tests/api tests/ops tests/topics
SEED = 1
SECONDS = 60
# Where this is set, every process compiles all that it imports again, for seconds.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help setup demo up test test-fast fast-running fast-others test-long test-slow lint types style rooms secrets advisories format bench quix growth soak fire contracts lock clean

help: ## Say what there is to do.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

setup: $(READY) ## Make the environment in .venv, as pinned; again only after a change.

$(READY): requirements.txt pyproject.toml .ci/tools.txt
	@sh .ci/environment
	@touch $@

demo: $(READY) ## Start all, send the life of a real-looking fleet, sum up what came of it.
	@$(BITCORP) demo

up: $(READY) ## Run the whole platform on this machine until Ctrl-C.
	@$(BITCORP) up

test: lint ## Run lint and the tests, on real Kafka and PostgreSQL.
	@$(PY) -m pytest $(IN_PARALLEL) -m "not slow and not long"

test-long: $(READY) ## Run the tests that make test leaves out for their time: crashes at awaits, broken off demos.
	@$(PY) -m pytest $(IN_PARALLEL) -m long

test-slow: $(READY) ## Run the slow tests: ten rounds of kill -9, thousands of seeds, the whole demo.
	@$(PY) -m pytest -m slow

test-fast: $(READY) ## Run the tests that need no servers.
	@$(MAKE) --no-print-directory --jobs=2 fast-running fast-others

# Two processes, each of which reads its own tests alone: reading them is a quarter of the work.
fast-running: $(READY)
	@$(QUICKLY) $(RUNNING)

fast-others: $(READY)
	@$(QUICKLY) $(RUNNING:%=--ignore=%)

lint: $(READY) ## Check style, types, which room imports which, that no secret is in the tree, known faults of packages.
	@$(MAKE) --no-print-directory --jobs=2 types style rooms secrets advisories

types: $(READY)
	@$(PY) -m mypy

style: $(READY)
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check

rooms: $(READY)
	@.venv/bin/lint-imports

secrets: $(READY)
	@$(PY) .ci/secrets.py

advisories: $(READY)
	@$(PY) .ci/advisories.py

format: $(READY) ## Bring the code into the one style.
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

bench: $(READY) ## Measure this machine and write bench/results.json and docs/performance.md.
	@$(BITCORP) bench

quix: $(READY) ## Install Quix Streams, which make bench measures beside ours, in an environment of its own.
	@.venv/bin/uv venv --quiet --allow-existing --python .venv/bin/python .venv-quix
	@.venv/bin/uv pip sync --quiet --python .venv-quix/bin/python --require-hashes bench/quix_job/requirements.txt

soak: $(READY) ## Measure for an hour, under steady load, whether memory grows.
	@$(BITCORP) soak

growth: $(READY) ## Measure how cost grows with companies, machines and partitions; some ten minutes.
	@$(PY) -m bench.growth

fire: $(READY) ## Let the platform's parts fail under load and check what is left: SEED=1 (or 1..20), SECONDS=60.
	@$(BITCORP) fire --seed $(SEED) --seconds $(SECONDS)

contracts: $(READY) ## Write the published contracts in docs/ again, from the classes.
	@$(PY) -m api.contracts
	@$(PY) -m domain.rejections > docs/rejections.md

lock: $(READY) ## Resolve the newest allowed packages and pin them in requirements.txt.
	@.venv/bin/uv lock --quiet --upgrade
	@.venv/bin/uv export --quiet --all-groups --no-emit-project --format requirements.txt --output-file requirements.txt
	@.venv/bin/uv pip compile --quiet --upgrade --universal --generate-hashes --python-version 3.11 --no-header \
		bench/quix_job/requirements.in --output-file bench/quix_job/requirements.txt

clean: ## Remove the environment and what tools leave behind; data in .bitcorp stay.
	@rm -rf .venv .venv-quix build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -not -path './.bitcorp/*' -prune -exec rm -rf {} +
