# The two commands of the README. PYTHON chooses the interpreter, PORT the demo's address.
PYTHON ?= python3
PORT ?= 9090

.PHONY: demo test torture

demo:
	@$(PYTHON) demo_project/start.py --port $(PORT)

test:
	@bash .ci/test

# The promises in full: kills, reloads and stops by the hundred. It takes several minutes.
torture:
	@$(PYTHON) -m tests.torture
