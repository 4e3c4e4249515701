# `make demo` and `make test` are all a newcomer needs: each installs whatever it lacks.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/
INSTALLED := $(VENV)/.installed
CLIENT := client/node_modules/.installed
# The stock libraries that demo apps show Bellcast with; without them the pages fetch them from the web.
STOCK := examples/lead_market/node_modules examples/celebrity_booking/node_modules

.PHONY: demo test check format bench docs lock system clean

demo: $(INSTALLED) $(CLIENT) $(STOCK) ## Start the server and its demo apps
	$(RUN)bellcast demo

test: system $(INSTALLED) $(CLIENT) check ## Everything that must hold, as CI runs it
	cd client && npm test --silent
	@# Three at a time, a file each: most tests wait for a server or a browser. On a loaded machine one may miss a
	@# deadline: what failed is tried once more, alone, and must hold then.
	$(RUN)pytest -n 3 --dist loadfile || $(RUN)pytest --last-failed --last-failed-no-failures none

check: $(INSTALLED) $(CLIENT) ## Lint, types, layers, formatting
	$(RUN)ruff format --check .
	$(RUN)ruff check .
	$(RUN)mypy
	$(RUN)lint-imports --no-cache
	cd client && npm run check --silent

format: $(INSTALLED) ## Write the formatting
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

bench: system $(INSTALLED) ## Measure against the peers; results go to benchmarks/results
	$(RUN)bellcast bench

docs: $(INSTALLED) ## Write the generated reference pages
	$(RUN)python scripts/reference.py

lock: ## Pin the development environment again
	$(RUN)uv pip compile --quiet --all-extras --group dev pyproject.toml --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import ensurepip' || scripts/install_system.sh python
	test -x $(RUN)python || $(PYTHON) -m venv $(VENV)
	$(RUN)pip install --quiet --disable-pip-version-check uv
	$(RUN)uv pip install --quiet --python $(RUN)python --require-hashes -r requirements.lock
	$(RUN)uv pip install --quiet --python $(RUN)python --no-deps --editable .
	touch $@

$(CLIENT): client/package-lock.json $(shell find client/src client/build.js client/examples.js examples/service_marketplace/today -type f)
	command -v npm >/dev/null || scripts/install_system.sh node
	cd client && npm ci --silent --no-audit --no-fund && npm run build --silent
	touch $@

$(STOCK): %/node_modules: %/package.json
	cd $* && npm install --silent --no-audit --no-fund --no-package-lock
	touch $@

system: ## Debian packages the tests drive: a browser, PostgreSQL, Redis, and nginx with nchan to measure against
	scripts/install_system.sh python node engines

clean: ## Remove what was installed here
	rm -rf $(VENV) client/node_modules client/dist $(STOCK) dist examples/service_marketplace/static/today.js
