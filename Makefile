# The two commands of the README. PYTHON chooses the interpreter, PORT the demo's address, and
# SERVER=uWSGI builds the demo's server from source, where SERVER=pyuwsgi installs it ready-made.
PYTHON ?= python3
PORT ?= 9090
SERVER ?= pyuwsgi

.PHONY: bench demo test docs torture

demo:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || { \
	    echo 'make demo: $(PYTHON) is missing, or older than 3.10.' \
	        'Try: apt-get install python3 python3-venv, or: make demo PYTHON=python3.12' >&2; exit 1; }
	@$(PYTHON) demo_project/start.py --port '$(PORT)' --server '$(SERVER)'

test:
	@bash .ci/test

# Builds the documentation in docs/_build/html.
docs:
	@$(PYTHON) -m venv .cache/nox
	@.cache/nox/bin/python -m pip install --quiet nox
	@.cache/nox/bin/nox --envdir .cache/sessions --session docs --force-python $(PYTHON)

# The promises in full: kills, reloads and stops by the hundred. It takes several minutes.
torture:
	@$(PYTHON) -m tests.torture

# Measures this project beside its peers, with --publish for the documentation too; it needs
# redis-server and PostgreSQL, and takes ten minutes. ARGS='--help' tells what else it can do.
bench:
	@$(PYTHON) -m venv .cache/bench
	@.cache/bench/bin/python -m pip install --quiet -r benchmarks/requirements.txt
	@.cache/bench/bin/python -m benchmarks $(ARGS)
