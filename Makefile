# The two commands of the README. PYTHON chooses the interpreter, PORT the demo's address.
PYTHON ?= python3
PORT ?= 9090

.PHONY: demo test docs torture

demo:
	@$(PYTHON) demo_project/start.py --port $(PORT)

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
