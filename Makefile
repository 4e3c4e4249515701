# `make demo` and `make test` are all a newcomer needs: each installs whatever it lacks.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/
INSTALLED := $(VENV)/.installed
CLIENT := client/node_modules/.installed
# The stock libraries of the tests; each is there when npm has written its list.
TESTED := $(patsubst %,tests/wire/%/node_modules/.package-lock.json,node socketio_node openapi_node)
# Python keeps what it compiled, whatever the environment says: a server starts in a third of the time.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test ready check lint types layers audit compiled client format bench package docs lock system engines clean

demo: $(INSTALLED) $(CLIENT) ## Start the server and its demo apps; PORT=9000 picks the server's port
	$(RUN)bellcast demo $(if $(PORT),--port $(PORT))

test: ## Everything that must hold, as CI runs it
	scripts/install_system.sh python node
	@# Side by side: one waits for the network while another has the processor.
	$(MAKE) --no-print-directory --jobs 4 --output-sync ready
	@# Four at a time, a file each: most tests wait for a server or a browser.
	$(RUN)pytest -n 4 --dist loadfile --no-loadscope-reorder

ready: engines check client compiled $(TESTED)

check: lint types layers audit $(CLIENT) ## Lint, types, layers, formatting, known vulnerabilities
	cd client && npm run check --silent

lint: $(INSTALLED)
	$(RUN)ruff format --check .
	$(RUN)ruff check .

types: $(INSTALLED)
	$(RUN)mypy

layers: $(INSTALLED)
	$(RUN)lint-imports --no-cache

audit: $(INSTALLED)
	command -v npm >/dev/null || scripts/install_system.sh node
	$(RUN)python scripts/audit.py

# Tests are compiled once, not by each who runs them; what is wrong with them is told by the run.
compiled: $(INSTALLED) $(CLIENT)
	-$(RUN)pytest --collect-only --quiet >/dev/null

client: $(CLIENT)
	cd client && npm test --silent

format: $(INSTALLED) ## Write the formatting
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

bench: system $(INSTALLED) ## Measure against the peers; results go to benchmarks/results
	$(RUN)bellcast bench

package: $(INSTALLED) $(CLIENT) ## Build wheel, sdist and npm tarball into dist/; install and try each
	$(RUN)python scripts/package.py dist
	$(RUN)pytest tests/package --packages dist

docs: $(INSTALLED) ## Write the generated reference pages
	$(RUN)python scripts/reference.py

lock: ## Pin the development environment again
	$(RUN)uv pip compile --quiet --all-extras --group dev pyproject.toml --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import ensurepip' || scripts/install_system.sh python
	test -x $(RUN)python || $(PYTHON) -m venv $(VENV)
	$(RUN)pip install --quiet --disable-pip-version-check uv
	@# The lock is complete; uv would apply the overrides of pyproject.toml again and look for other versions.
	$(RUN)uv pip install --quiet --no-config --python $(RUN)python --no-deps --require-hashes -r requirements.lock
	$(RUN)uv pip install --quiet --python $(RUN)python --no-deps --editable .
	touch $@

$(CLIENT): client/package-lock.json $(shell find client/src client/build.js client/examples.js client/internal-names.js examples/service_marketplace/today -type f)
	command -v npm >/dev/null || scripts/install_system.sh node
	cd client && npm ci --silent --no-audit --no-fund && npm run build --silent
	touch $@

$(TESTED): %/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --silent --no-audit --no-fund

system: ## Debian packages the tests drive: a browser, PostgreSQL, Redis, and nginx with nchan to measure against
	scripts/install_system.sh python node engines

engines:
	scripts/install_system.sh engines

clean: ## Remove what was installed here
	rm -rf $(VENV) client/node_modules client/dist dist examples/service_marketplace/static/today.js examples/*/libraries
