# make demo  – one audience from a sample warehouse to LiveRamp in a box, through Airflow; another one: AUDIENCE=FILE
# make up    – Airflow's UI with LiveRamp in a box beside it, until Ctrl-C
# make test  – install what the tests need, then lint, types, import contracts and all tests
# make slow  – tests that take long or need more of Debian: OpenStack Swift, files of more than 4 GiB, all demos; 10 minutes
# make faults – the table of docs/reliability.md; half an hour
# make coverage – whether the tests take every branch of the code that delivers; some minutes
# make mutants – the code that delivers, changed in every small way: which changes no test sees; more than an hour
# make bench – the figures of docs/performance.md, with nothing else running; 20 minutes

PYTHON   ?= python3
DATE     ?= 2026-11-20
PORT     ?= 8080
AUDIENCE ?= dags/audiences/high_value_customers.yaml

BIN := .venv/bin
UV  := .uv/bin/uv

.PHONY: demo up test slow faults coverage mutants bench check lock screenshots clean packages gpg

demo: gpg .venv/installed
	@$(BIN)/python -m liveramp_provider.testing.demo --date $(DATE) --audience $(AUDIENCE)

up: gpg .venv/installed
	@$(BIN)/python -m liveramp_provider.testing.up --port $(PORT) --audience $(AUDIENCE)

# Four at once, for two cores: many tests wait for servers more than they work.
test: packages .venv/installed check
	$(BIN)/pytest --numprocesses 4 --dist loadscope --no-loadscope-reorder

slow: ALSO := swift-account swift-container swift-object swift-proxy
slow: packages .venv/installed
	$(BIN)/pytest tests/slow

faults: ALSO := strace
faults: packages .venv/installed
	$(BIN)/python -m tests.faults

# The tests that come near the code that delivers, as mutmut gets them, too.
DELIVERING = $(shell $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["tool"]["mutmut"]\
	["pytest_add_cli_args_test_selection"])')

coverage: packages .venv/installed
	@$(UV) --quiet pip install --python .venv coverage==7.17.5
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses 2 $(DELIVERING)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

mutants: packages .venv/installed
	$(UV) --quiet pip install --python .venv mutmut==3.8.1
	$(BIN)/python -m tests.mutation

bench: packages .venv/installed
	$(BIN)/python -m benchmarks.read_postgres
	$(BIN)/python -m benchmarks.extract_enrich

check: .venv/installed
	$(BIN)/ruff check -q
	$(BIN)/ruff format -q --check
	$(BIN)/mypy --no-error-summary
	$(BIN)/lint-imports > .venv/lint-imports.log || { cat .venv/lint-imports.log; exit 1; }

# The environment: uv in a virtual environment of its own, our packages in another, nothing global.
.uv/installed:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "Python 3.11 or newer is needed. Install it, or name it: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv .uv > /dev/null 2>&1 \
		|| { rm -rf .uv; echo "Python has no venv. Install it: apt-get install python3-venv"; exit 1; }
	@.uv/bin/pip --quiet --disable-pip-version-check install uv==0.13.9 2> .uv/pip.log || { cat .uv/pip.log; exit 1; }
	@touch $@

.venv/installed: .uv/installed requirements.lock pyproject.toml
	@echo "Installing the locked packages into .venv …"
	@$(UV) --quiet venv --allow-existing --no-python-downloads --python $(PYTHON) .venv
	@$(UV) --quiet pip sync --python .venv --require-hashes --compile-bytecode requirements.lock
	@$(UV) --quiet pip install --python .venv --no-deps --editable .
	@$(BIN)/python -m compileall -q liveramp_provider
	@touch $@

lock: .uv/installed
	$(UV) --quiet pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--custom-compile-command "make lock" --output-file requirements.lock

# The pictures in docs/images.
screenshots: packages .venv/installed
	$(BIN)/python -m tests.browser.screenshots

gpg:
	@command -v gpg > /dev/null || { echo "gpg is missing. Install it: apt-get install gnupg"; exit 1; }

# Debian's packages that only the tests need.
packages:
	@missing=""; \
	command -v gpg > /dev/null || missing="$$missing gnupg"; \
	test -x /usr/sbin/sshd || missing="$$missing openssh-server"; \
	test -x /usr/bin/chromium || missing="$$missing chromium"; \
	ls /usr/lib/*/faketime/libfaketime.so.1 > /dev/null 2>&1 || missing="$$missing libfaketime"; \
	ls /usr/lib/postgresql/*/bin/postgres > /dev/null 2>&1 || missing="$$missing postgresql"; \
	for name in $(ALSO); do dpkg -s $$name > /dev/null 2>&1 || missing="$$missing $$name"; done; \
	if test -z "$$missing"; then exit 0; fi; \
	if test "$$(id -u)" != 0 || ! command -v apt-get > /dev/null; then \
		echo "The tests need:$$missing. Install them: sudo apt-get install$$missing"; exit 1; fi; \
	echo "Installing$$missing …"; \
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing > /dev/null

clean:
	rm -rf .venv .uv .demo mutants
