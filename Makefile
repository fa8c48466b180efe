# make demo: set up and run the main job. make demo-domains: the same on colour images. make check: the quick checks. make test: every check.

PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo demo-domains check test lowest mlflow docs torture slurm bench lock clean

help:
	@echo "make demo   set up .venv, then dvc repro: the forgetting table of params.yaml"
	@echo "make demo-domains  the same on emoji of four vendors; sets params.yaml (git checkout params.yaml)"
	@echo "make check  set up .venv, then ruff, mypy and the unit tests: for between two edits"
	@echo "make test   set up .venv, then ruff, mypy and all tests"
	@echo "make lowest  the unit tests with the lowest versions that pyproject.toml allows"
	@echo "make mlflow  the test of the logger for MLflow, in an environment of its own"
	@echo "make docs   build the README and docs/ into a site, .scratch/site"
	@echo "make torture  kill stages and change inputs at random moments, and compare the files with those of a run in peace"
	@echo "make slurm  run a sweep of 24 small runs through SLURM, where there is one, and compare its files"
	@echo "make bench  measure speed, beside lightly and Kornia in an environment of their own"
	@echo "make lock   resolve requirements.lock anew from pyproject.toml"
	@echo "make clean  remove .venv and the tools' caches; data and results stay"

INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --constraint requirements.lock --editable

# Imported once, so that Python keeps the bytecode also where it is told not to write any: else
# each process compiles torch anew, two seconds of a stage's four.
IMPORTS := "import pipeline.cli.main; from pipeline.runtime.before_torch import before_torch; before_torch(); \
  import dvc.repo.reproduce, dvc.commands.repro, matplotlib.figure, torch._dynamo, pipeline.stages.train_task, \
  pipeline.stages.evaluate_states, pipeline.stages.views, pipeline.stages.report"

# The markers are as new as the last install, so a changed lock installs again. What runs the chain
# alone comes first: torchmetrics imports SciPy wherever it is, and only the tests need that.
$(BIN)/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "error: $(PYTHON) is $$($(PYTHON) --version), needed is 3.11 to 3.13; make PYTHON=python3.12 ..." >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(INSTALL) .
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c $(IMPORTS)
	touch $@

$(BIN)/installed-dev: $(BIN)/installed
	$(INSTALL) '.[dev]'
	env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -c $(IMPORTS)
	touch $@

demo: $(BIN)/installed
	cassle check
	dvc repro
	@echo "Look at reports/report.md and the plots beside it."

demo-domains: $(BIN)/installed
	cassle example-stream emoji
	cassle check
	dvc repro
	@echo "Look at reports/report.md; git checkout params.yaml && dvc repro goes back."

# Hours: SIGKILLs and SIGHUPs at random moments, and code, params, splits and images changed at
# such, and the files compared with those of a run in peace; then 1,000 random folders, ten
# experiments by two workers of DVC's queue, compared with those run one by one, and 10,000 random
# texts of params and 1,000 random splits, of which make test takes some.
torture: $(BIN)/installed-dev
	python -m tests.torture.stages --kills 200
	python -m tests.torture.dvc --kills 10
	python -m tests.torture.changes --trials 200
	python -m tests.torture.folders --trials 1000
	python -m tests.torture.queue
	FUZZ_IN_FULL=1 $(PYTEST) --timeout 10800 tests/pipeline/test_fuzz_params.py tests/pipeline/test_fuzz_splits.py tests/reporting/test_compare_inputs.py

# The sweep took 32 minutes on two busy cores; then each run is made once more by itself. Needs a
# SLURM that answers sinfo.
slurm: $(BIN)/installed-dev
	python -m tests.slurm.sweep

# About an hour, with nothing else on the machine. The peers get the torch that we have.
bench: .scratch/peers/installed
	python -m benchmarks

.scratch/peers/installed: $(BIN)/installed
	test -x .scratch/peers/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .scratch/peers
	$(BIN)/uv pip freeze --quiet --python $(BIN)/python | grep -iE '^(torch|torchvision|numpy|pillow)==' > .scratch/peers/same.txt
	$(BIN)/uv pip install --quiet --python .scratch/peers/bin/python lightly kornia --requirement .scratch/peers/same.txt
	touch $@

# One thread a worker: the networks are tiny, and threads would only wait for each other. Bytecode
# is kept: else each process that a test starts compiles torch anew.
PYTEST := env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: $(BIN)/installed-dev
	ruff check .
	ruff format --check .
	mypy
	$(PYTEST) -m unit

test: $(BIN)/installed-dev
	ruff check .
	ruff format --check .
	mypy
	$(PYTEST)

# The lowest version of each package that pyproject.toml names, but for torch and torchvision, of
# which another one would be gigabytes: those of the lock. What tests/project looks at, documents and
# the order of imports, no version changes.
lowest: .scratch/lowest/installed
	.scratch/lowest/bin/python -W error -m pipeline --help >/dev/null
	PATH=$(CURDIR)/.scratch/lowest/bin:$$PATH $(PYTEST) -m unit --ignore tests/project

.scratch/lowest/installed: $(BIN)/installed
	test -x .scratch/lowest/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .scratch/lowest
	grep -E '^(torch|torchvision)==' requirements.lock > .scratch/lowest/torch.txt
	$(BIN)/uv pip install --quiet --python .scratch/lowest/bin/python --resolution lowest-direct \
	  --constraint .scratch/lowest/torch.txt --editable '.[dev]'
	touch $@

# MLflow and what it brings are 240 MB, so they are no part of the other tests. The environment has
# them, and finds the rest in .venv.
mlflow: .scratch/mlflow/installed
	PATH=$(CURDIR)/.scratch/mlflow/bin:$$PATH OMP_NUM_THREADS=1 python -m pytest tests/training/test_mlflow.py

.scratch/mlflow/installed: $(BIN)/installed-dev
	test -x .scratch/mlflow/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .scratch/mlflow
	$(BIN)/uv pip install --quiet --python .scratch/mlflow/bin/python --constraint requirements.lock 'mlflow>=3.4'
	.scratch/mlflow/bin/python -c 'import site, sys; open(site.getsitepackages()[0] + "/others.pth", "w").write(sys.argv[1])' \
	  "$$($(BIN)/python -c 'import site; print(site.getsitepackages()[0])')"
	touch $@

# Strict: a warning ends it. What it would say of MkDocs 2 concerns nothing here.
docs: $(BIN)/installed-dev
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict
	@echo "Look at .scratch/site/index.html; with search: python -m http.server --directory .scratch/site"

lock: $(BIN)/installed-dev
	uv pip compile --quiet --universal --extra dev --python-version 3.11 --no-annotate \
	  --no-header --no-emit-index-url --upgrade pyproject.toml --output-file requirements.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache
