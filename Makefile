# `make demo` and `make test` install their dependencies when these are missing.
SHELL := /bin/bash
PYTHON ?= $(shell scripts/find_python.sh)
VENV := .venv
RUN := $(VENV)/bin/
INSTALLED := $(VENV)/.installed
# The server and the demo's apps without the tools of development: a fifth of the size.
SERVED := $(VENV)/.served
CLIENT := client/node_modules/.installed
# Client libraries under test. npm writes this file when the installation is complete.
TESTED := $(patsubst %,%/node_modules/.package-lock.json,$(addprefix tests/wire/,node socketio_node openapi_node) client/test/react18)
# Django 4.2 with django-notifications-hq, to test the importer. The other tests use a newer Django.
HQ := $(VENV)/hq/.installed
# Write .pyc files even if the environment disables them: a server then starts three times as fast.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: nats demo test test-all tested ready ready-in-parallel check lint types layers size audit compiled client client-types format bench package npm wheel docs pictures email-support lock site system engines clean

demo: $(if $(wildcard $(INSTALLED)),$(INSTALLED),$(SERVED)) $(CLIENT) ## Start the server and its demo apps; PORT=9000 picks the server's port
	$(RUN)bellcast demo $(if $(PORT),--port $(PORT))

# Four processes, one file each at a time: most tests wait for a server or a browser.
PYTEST := $(RUN)pytest -n 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

test: ready-in-parallel ## Run the checks and tests, as CI does
	$(MAKE) $(BESIDE)

test-all: ready-in-parallel ## Also run the thorough tests: every contract on PostgreSQL, long faults, packages, details of pages, Firefox and WebKit
	@# Built before the tests, which end after six minutes.
	scripts/install_system.sh chart
	$(MAKE) $(BESIDE) THOROUGH=--thorough

# Beside the tests, and not before them: types take 20 s of processor time, and the audit waits for the network.
BESIDE := --no-print-directory --jobs 4 --output-sync types audit client-types tested

# `+` shows the output as it comes. The tests that run make start it without these flags.
tested:
	+env -u MAKEFLAGS -u MFLAGS $(PYTEST) $(THOROUGH)

ready-in-parallel:
	PYTHON=$(PYTHON) scripts/install_system.sh python node
	@# In parallel: some wait for the network while others use the processor.
	$(MAKE) --no-print-directory --jobs 4 --output-sync ready

ready: engines nats lint layers size client compiled $(TESTED) $(HQ)

check: lint types layers size audit client-types ## Lint, types, layers, formatting, size, known vulnerabilities

client-types: $(CLIENT)
	cd client && npm run check --silent

lint: $(INSTALLED)
	$(RUN)ruff format --check .
	$(RUN)ruff check .

types: $(INSTALLED)
	$(RUN)mypy

layers: $(INSTALLED)
	$(RUN)lint-imports --no-cache

size: $(INSTALLED)
	$(RUN)python scripts/measure_code.py

audit: $(INSTALLED)
	command -v npm >/dev/null || scripts/install_system.sh node
	$(RUN)python scripts/audit.py

# Compile the tests once before the parallel processes need them. The test run reports collection errors. Of the tests
# themselves, a few with `_any_` in their names are enough. Some must be properties, because Hypothesis stores the constants of
# all imported modules only if a property is collected.
compiled: $(INSTALLED) $(CLIENT)
	-$(RUN)pytest --collect-only --quiet -o 'python_functions=*_any_*' -o python_classes=- >/dev/null

client: $(CLIENT)
	cd client && npm test --silent

format: $(INSTALLED) ## Write the formatting
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

bench: system $(INSTALLED) ## Run the benchmarks; writes benchmarks/results
	$(RUN)bellcast bench

npm: $(if $(wildcard $(INSTALLED)),$(INSTALLED),$(SERVED)) $(CLIENT) ## Build the npm tarball into dist/, without system packages
	$(RUN)python -m scripts.package dist npm

wheel: $(if $(wildcard $(INSTALLED)),$(INSTALLED),$(SERVED)) $(CLIENT) ## Build the wheel with the browser client into dist/, without system packages
	$(RUN)python -m scripts.package dist wheel

package: $(INSTALLED) $(CLIENT) ## Build wheel, sdist, npm tarball and container image into dist/; install and test each
	@# The tests open the bell in Chromium.
	scripts/install_system.sh engines
	$(RUN)python -m scripts.package dist
	$(RUN)pytest tests/package --thorough --packages dist

site: $(INSTALLED) ## Build the documentation site into site/html; a broken link fails
	$(RUN)python scripts/site.py site

docs: $(INSTALLED) ## Write the generated reference pages
	$(RUN)python scripts/reference.py

pictures: $(INSTALLED) $(CLIENT) ## Take the screenshots of the bell, the mailbox and the console for the README and the documentation
	scripts/install_system.sh engines pictures
	$(RUN)python scripts/pictures.py

email-support: $(INSTALLED) ## Update the table of CSS that mail programs do not support
	$(RUN)python scripts/email_support.py

lock: ## Update requirements.lock
	$(RUN)uv pip compile --quiet --python-version 3.11 --all-extras --group dev pyproject.toml --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock

$(INSTALLED): requirements.lock pyproject.toml
	$(PYTHON) -c 'import ensurepip' || PYTHON=$(PYTHON) scripts/install_system.sh python
	test -x $(RUN)python || $(PYTHON) -m venv $(VENV)
	$(RUN)pip install --quiet --disable-pip-version-check uv
	@# The lock is complete; uv would apply the overrides of pyproject.toml again and look for other versions.
	$(RUN)uv pip install --quiet --no-config --python $(RUN)python --no-deps --require-hashes -r requirements.lock
	$(RUN)uv pip install --quiet --python $(RUN)python --no-deps --editable .
	touch $@

$(SERVED): requirements.lock pyproject.toml
	@echo "Installing Bellcast and its demo into $(VENV) (about 60 packages) …"
	$(PYTHON) -c 'import ensurepip' || PYTHON=$(PYTHON) scripts/install_system.sh python
	test -x $(RUN)python || $(PYTHON) -m venv $(VENV)
	$(RUN)pip install --quiet --disable-pip-version-check uv
	$(RUN)uv pip install --quiet --no-config --python $(RUN)python --constraint requirements.lock --editable '.[demo]'
	touch $@

$(CLIENT): client/package-lock.json $(shell find client/src client/build.js client/examples.js client/vendor.js client/internal-names.js examples/service_marketplace/today -type f)
	@command -v npm >/dev/null || scripts/install_system.sh node
	@scripts/check_node.sh
	@echo "Building the browser client (npm installs its tools into client/node_modules) …"
	@# Errors only: --silent would hide why an installation failed.
	cd client && npm ci --loglevel error --no-audit --no-fund && npm run build --silent
	touch $@

$(TESTED): %/node_modules/.package-lock.json: %/package-lock.json
	cd $* && npm ci --silent --no-audit --no-fund

$(HQ): tests/django/hq_requirements.txt $(INSTALLED)
	$(RUN)uv pip install --quiet --no-config --no-deps --require-hashes --python $(RUN)python --target $(@D) -r $<
	touch $@

system: ## Install the programs that the tests use: browsers, PostgreSQL, Redis, NATS, languages, and nginx with nchan to measure against
	scripts/install_system.sh python node engines nats languages browsers

engines:
	scripts/install_system.sh engines languages
	@# The tests in these are skipped where Debian has none.
	-scripts/install_system.sh browsers

# Half a minute of processor time on a new machine, beside the other preparations.
nats:
	scripts/install_system.sh nats

clean: ## Remove installed and built files
	rm -rf $(VENV) client/node_modules client/dist dist site examples/service_marketplace/static/today.js examples/*/libraries src/bellcast/console/pages/console/files/vendor/{pusher-js,socket.io-client}.js
