# Everything a person types here: `make demo` and `make test` build .venv themselves, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PEERS := .venv-peers
AUTOGLUON := .venv-autogluon

# What `make bench-fastai` and `make bench-autogluon` compare on: photographs laid out as the competition, a timm model.
COMPETITION ?= dog-breed
FOLDER ?= data/dog-breed
MODEL ?= mobilenetv2_100
WEIGHTS ?=
SIZE ?= 160

.PHONY: demo test test-slow lint docs notebooks bench bench-fastai bench-autogluon peers peers-autogluon clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       everything on practice data: archives to a scored submission"
	@echo "make test       the tests          make test-slow  the slow tail too"
	@echo "make lint       ruff and mypy      make bench      the benchmarks"
	@echo "make docs       the references in docs/        make notebooks  executes docs/notebooks, some minutes"
	@echo "make bench-fastai FOLDER=DIR MODEL=NAME WEIGHTS=FILE   side by side with fastai (make peers: some gigabytes);"
	@echo "                with the same words \`make bench\` does it too, and \`make bench-autogluon\` beside AutoGluon"
	@echo "make clean      remove .venv and what the demo and the tests made"

# Two `make` at once must not build one environment into each other: the second waits, and then finds it ready. The
# lock lives as long as the process that Python turns into; the system takes it back if that is killed.
WAIT_FOR := $(PYTHON) -c 'import fcntl, os, sys; lock = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); \
	fcntl.flock(lock, fcntl.LOCK_EX); os.set_inheritable(lock, True); os.execvp(sys.argv[2], sys.argv[2:])'

# .ready is written last, so a broken-off installation is taken up again and a finished one is left alone.
$(READY): pyproject.toml constraints.txt
$(PEERS)/.ready: benchmarks/peers-constraints.txt
$(AUTOGLUON)/.ready: benchmarks/autogluon-constraints.txt

ifndef LOCKED
$(READY) $(PEERS)/.ready $(AUTOGLUON)/.ready:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; found: $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@$(WAIT_FOR) $(@D).lock $(MAKE) --silent LOCKED=yes $@
else
$(READY):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $@

# The peers have environments of their own: what they need must not decide what we can use.
$(PEERS)/.ready:
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --constraint $< 'fastai>=2.8,<2.9' timm safetensors
	@touch $@

# Not beside fastai: AutoGluon needs an older timm and an older torch.
$(AUTOGLUON)/.ready:
	$(PYTHON) -m venv $(AUTOGLUON)
	$(AUTOGLUON)/bin/python -m pip install --quiet --constraint $< 'autogluon.multimodal>=1.6,<1.7'
	@touch $@
endif

demo: $(READY)
	$(BIN)/runner demo

test: $(READY)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "not slow"

test-slow: $(READY)
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(READY)
	$(BIN)/python docs/generate_commands.py
	$(BIN)/python docs/generate_competitions.py
	$(BIN)/python docs/generate_python.py

notebooks: $(READY)
	$(BIN)/python docs/generate_notebooks.py

bench: $(READY)
	$(BIN)/python -m benchmarks $(if $(WEIGHTS),--folder $(FOLDER) --model $(MODEL) --weights $(WEIGHTS))

peers: $(PEERS)/.ready

peers-autogluon: $(AUTOGLUON)/.ready

BESIDE = $(BIN)/python -m benchmarks.beside $(FOLDER) --competition $(COMPETITION) --model $(MODEL) --size $(SIZE) \
	$(if $(WEIGHTS),--weights $(WEIGHTS))

bench-fastai: $(READY) $(PEERS)/.ready
	$(BESIDE) --peer fastai

bench-autogluon: $(READY) $(AUTOGLUON)/.ready
	$(BESIDE) --peer autogluon

clean:
	rm -rf $(VENV) $(PEERS) $(AUTOGLUON) $(VENV).lock $(PEERS).lock $(AUTOGLUON).lock build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis bench demo
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
