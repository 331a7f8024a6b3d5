# Every target installs what it needs: Debian packages (as root or through sudo), then the virtual environment.

# Debian's own Python, not the first python3 on PATH: python3-rados and python3-rbd are built for it.
SYSTEM_PYTHON := /usr/bin/python3
VENV := .venv
PYTHON := $(VENV)/bin/python
# The releases of a run: KUBERNETES=1.20, 1.36 or 1.37 and CEPH=16, 18 or 20, on the command line or in the environment.
# KUBEBUILDER_ASSETS names a folder with another Kubernetes instead.
export KUBERNETES CEPH
# Each of some hundred processes would compile all modules again, and pytest all tests.
unexport PYTHONDONTWRITEBYTECODE
STATE := .state/cluster
# Each worker starts its own clusters, and all tests of a file run on one worker, which reuses its clusters. There is one
# worker more than cores, because tests spend much of their time waiting.
SIDE_BY_SIDE := --numprocesses $(shell nproc --all | awk '{print ($$1 < 3 ? $$1 : 3) + 1}') --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help machine venv demo up down test test-unit test-long test-matrix check format docs chart site bench lock clean

help: ## Show these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: venv ## Play the whole story on a real cluster, then stop everything
	@$(PYTHON) -m tests.demo play

up: venv ## Start a real cluster with Sutler in it, leave it running, and print the lines to paste
	@$(PYTHON) -m tests.demo up --state $(STATE)

down: ## Stop what `make up` started
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m tests.demo down --state $(STATE); fi

test: venv ## Run the tests on real parts, and a short selection on the oldest releases
	@$(PYTHON) -m tests.runs test $(AGAIN) $(SIDE_BY_SIDE)

test-unit: venv ## Run the tests that start nothing
	@$(PYTHON) -m pytest -m 'not cluster and not long' $(SIDE_BY_SIDE)

test-long: venv ## Run all tests, including the long ones: soak, thousands of kills
	@$(PYTHON) -m tests.runs test -m 'long or not long' $(SIDE_BY_SIDE)

test-matrix: venv ## Run what starts real parts on each Kubernetes with each Ceph (hours), write docs/versions.md
	@$(PYTHON) -m tests.runs matrix $(SIDE_BY_SIDE)

check: venv ## Check style, types and import contracts
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/mypy
	@$(VENV)/bin/lint-imports

format: venv ## Format the code
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

docs: venv ## Write the generated pages of docs/: flags, commands, metrics, kinds, REST endpoints, symptoms, values of the chart
	@$(PYTHON) -m tests.docs

chart: venv ## Write the Helm chart in manifests/chart from the kustomize base and its components
	@$(PYTHON) -m tests.chart

site: venv ## Build the documentation site in .state/site
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict --quiet
	@echo "The site is in .state/site. To read it: $(PYTHON) -m http.server --bind 127.0.0.1 --directory .state/site"

bench: venv ## Measure speed, as ratios to a bare server within one run
	@for bench in tests/*/bench_*.py; do echo "== $$bench"; $(PYTHON) -m "$$(echo "$${bench%.py}" | tr / .)" || exit 1; done

lock: venv ## Pin the newest versions that pyproject.toml allows into constraints.txt and constraints-site.txt
	@$(PYTHON) -m pip install --quiet pip-tools
	@$(VENV)/bin/pip-compile --quiet --upgrade --extra dev --generate-hashes --allow-unsafe --strip-extras --no-header \
	  --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-options --no-emit-trusted-host \
	  --output-file constraints.txt pyproject.toml
	@$(PYTHON) -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["site"], sep="\n")' \
	  | $(VENV)/bin/pip-compile --quiet --upgrade --constraint constraints.txt --generate-hashes --allow-unsafe --strip-extras \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links --no-emit-options --no-emit-trusted-host \
	  --output-file constraints-site.txt -

clean: down ## Remove the virtual environment and all state; builds in the cache stay
	@rm -rf $(VENV) .state build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

machine:
	@$(SYSTEM_PYTHON) tests/cluster/packages.py

venv: machine $(VENV)/.ready

# An isolated environment of hashed packages; those that build the documentation site have a file of their own, because the
# container image is built from the other. It can import only two extension modules of the system, which exist only in the
# distribution. With all of the system's packages, Debian's older cryptography would satisfy an unpinned requirement.
$(VENV)/.ready: pyproject.toml constraints.txt constraints-site.txt
	@echo "Creating the virtual environment in $(VENV) …"
	@$(SYSTEM_PYTHON) -m venv --clear $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints.txt
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r constraints-site.txt
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@for module in rados rbd; do \
	  ln -sf "$$($(SYSTEM_PYTHON) -c "import $$module; print($$module.__file__)")" $(VENV)/lib/python3.*/site-packages/; \
	done
	@touch $@
