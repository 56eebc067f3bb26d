# Environments live inside the clone. A stamp in each is named after everything it was installed from,
# and is written last: an up-to-date environment is reused without the network, any other is installed again.

PYTHON ?= $(shell command -v python3.11 || echo python3)
KEY := $(shell (pwd; cat pyproject.toml constraints.txt) | cksum | cut -d ' ' -f 1)
DEV := .venv/installed-$(KEY)
BENCH := .venv-bench/installed-$(KEY)

SPYX := spyx grain array-record cloudpickle portpicker  # and what it imports
LAVA := .venv-lava/installed-$(KEY)
NEXT := .venv-next/installed-$(KEY)

# The newest JAX that spikejax is checked with; it wants a newer Python, which may be one of pyenv's.
JAX_NEXT := 0.11.2
PYTHON_NEXT ?= $(shell PYENV_VERSION=$$(pyenv versions --bare 2>/dev/null | grep '^3\.12' | tail -1) \
	python3.12 -c 'import sys; print(sys.executable)' 2>/dev/null)

BASELINES := spikingjelly==2.0.0 norse snntorch $(SPYX)
BENCHMARKS := $(sort $(filter-out benchmarks/_%,$(wildcard benchmarks/*.py)))
PIP := -m pip install -qq

.DEFAULT_GOAL := help
.PHONY: help demo test test-laws test-next test-peers faults lint docs bench bench-tiny bench-env lock clean

help:  ## list the targets
	@echo "make TARGET [PYTHON=python3.12]    (PYTHON: the interpreter of a new environment)"
	@sed -n 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 14

demo: $(DEV)  ## train a spiking network on handwritten digits, draw what it does, export it for Loihi
	.venv/bin/spikejax train digits --out runs/digits --overwrite
	.venv/bin/spikejax plot runs/digits
	.venv/bin/spikejax export netx runs/digits runs/digits/digits.net --report
	@echo "Checkpoints, logs, pictures and the file for Loihi: $(CURDIR)/runs/digits"

test: $(DEV) $(LAVA)  ## run the test suite, Lava's simulation of Loihi included
	.venv/bin/python -m pytest

test-laws: $(DEV)  ## check the cells by machine code as users have it: the tests compile without optimisation
	SPIKEJAX_TESTS_OPTIMISED=1 .venv/bin/python -m pytest tests/cells/test_laws.py tests/cells/test_golden.py

test-next: $(NEXT)  ## check what depends on JAX's inner surfaces on the newest JAX: kernels, conversion, ONNX, layers
	.venv-next/bin/python -m pytest tests/kernels/test_lowering.py tests/kernels/test_transformations.py \
		tests/kernels/test_llvm.py tests/kernels/test_events.py tests/kernels/test_machine_code.py \
		tests/convert/test_trace.py tests/export/onnx/test_write.py tests/nn/test_sequential.py

test-peers: $(DEV) $(BENCH)  ## check that other libraries read what is exported, and compute the same
	SPIKEJAX_PEERS=required .venv/bin/python -m pytest -n 0 -m peers

faults: $(DEV)  ## replay deliberate faults: the test named for each must fail
	.venv/bin/python scripts/replay_faults.py $(FAULTS)

lint: $(DEV)  ## check format, style and types
	.venv/bin/python -m ruff format --check
	.venv/bin/python -m ruff check
	.venv/bin/python -m pyright

docs: $(DEV)  ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 .venv/bin/python -m mkdocs build --strict

bench: $(BENCH)  ## run every benchmark at full size
	@set -e; for file in $(BENCHMARKS); do echo "$$file"; .venv-bench/bin/python $$file; done

bench-tiny: $(BENCH)  ## run every benchmark at the size that only shows it works
	@set -e; for file in $(BENCHMARKS); do echo "$$file --tiny"; .venv-bench/bin/python $$file --tiny; done

bench-env: $(BENCH)  ## install the benchmarks' environment: spikejax beside its PyTorch baselines

lock:  ## resolve every dependency anew and rewrite constraints.txt
	rm -rf .venv-lock
	$(call create,.venv-lock)
	.venv-lock/bin/python $(PIP) -e '.[dev,torch,lava]'
	.venv-lock/bin/python $(PIP) --no-deps $(BASELINES)
	.venv-lock/bin/python -m pip freeze --exclude-editable > .venv-lock/freeze
	sed -e '/^#/!d' constraints.txt > .venv-lock/constraints
	sed -e 's/+cpu$$//' .venv-lock/freeze >> .venv-lock/constraints
	mv .venv-lock/constraints constraints.txt
	rm -rf .venv-lock

clean:  ## remove the environments and everything built
	rm -rf .venv .venv-bench .venv-lava .venv-next .venv-lock build dist site runs/digits .pytest_cache .ruff_cache

$(DEV):
	$(call create,.venv)
	.venv/bin/python $(PIP) -c constraints.txt -e '.[dev]'
	@touch $@

$(BENCH):
	$(call create,.venv-bench)
	.venv-bench/bin/python $(PIP) -c constraints.txt -e '.[torch]'
	.venv-bench/bin/python $(PIP) -c constraints.txt --no-deps $(BASELINES)
	@touch $@

# Lava's own pins want an old Python and a torch with CUDA, which its simulation does not need.
$(LAVA):
	$(call create,.venv-lava)
	.venv-lava/bin/python $(PIP) -c constraints.txt numpy scipy h5py networkx asteval
	.venv-lava/bin/python $(PIP) --no-deps --ignore-requires-python lava-nc==0.10.0 lava-dl==0.6.0
	@touch $@

$(NEXT): PYTHON = $(PYTHON_NEXT)
$(NEXT):
	$(call create,.venv-next)
	grep -v '^\(jax\|flax\)' constraints.txt > .venv-next/constraints.txt
	.venv-next/bin/python $(PIP) -c .venv-next/constraints.txt -e '.[onnx,nir]' jax==$(JAX_NEXT) pytest pytest-xdist
	@touch $@

# A new environment, or an old one without its stamp; mends one that was interrupted half-way.
define create
	@"$(PYTHON)" -c 'import sys; sys.version_info >= (3, 11) or sys.exit("spikejax needs Python 3.11 or newer, \
$(PYTHON) is " + sys.version.split()[0] + ": name another one, as in make PYTHON=python3.12")'
	@echo "Installing into $(1) ..."
	@rm -f $(1)/installed-*
	"$(PYTHON)" -m venv $(1)
endef
