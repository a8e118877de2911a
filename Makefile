# Every target sets up what it needs: Python (3.10 or newer), make and a package index are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
BENCH := .venv-bench
PIP := $(BIN)/python -m pip --disable-pip-version-check
PACKAGES := integrations/langchain-bedside integrations/llama-index-embeddings-bedside integrations/llama-index-vector-stores-bedside
EDITABLE := -e ".[transformers,onnx,openvino,eval,words,cluster,plot,arrow,loaders,watch,serve,mcp,remote,postgres,tuning,crypto,cli]" $(addprefix -e ,$(PACKAGES))
# The code of the pages, which show lines of 86 characters without scrolling.
PAGES := --isolated --line-length 86 README.md docs integrations/*/README.md

.PHONY: help demo demo-postgres test test-all test-lowest release lint format types bench docs docs-serve constraints clean

help:
	@echo "make demo      ingest the example notes and ask three clinical questions"
	@echo "make demo-postgres   the same on a PostgreSQL server that is started for it"
	@echo "make test      the tests that fit in ten minutes;  make test-all: the slow ones too"
	@echo "make test-lowest   the adapters with the oldest frameworks they support"
	@echo "make release   the four packages, built, checked, and each run alone in a clean environment"
	@echo "make lint      ruff;  make format: apply its fixes;  make types: mypy, strict"
	@echo "make bench     the benchmarks"
	@echo "make docs      the documentation site, in site/;  make docs-serve: the same while it is written"

# pip, because the constraints pin a torch build that a plain wheel folder may provide.
$(READY): constraints.txt pyproject.toml $(addsuffix /pyproject.toml,$(PACKAGES))
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (a few minutes the first time)"
	@$(PIP) install --quiet --upgrade pip==26.3
	@$(PIP) install --quiet --constraint constraints.txt --group dev $(EDITABLE)
	@touch $@

demo: $(READY)
	@$(BIN)/python examples/demo.py

demo-postgres: $(READY)
	@$(BIN)/python tests/engines/postgres_server.py $(BIN)/python examples/demo.py

# One process for each processor, so each keeps to one thread: two libraries that share processors wait for each other.
test: $(READY)
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

test-all: $(READY)
	$(BIN)/python -m pytest -m "slow or not slow" --timeout 3600

test-lowest: $(READY)
	$(BIN)/python -m pytest tests/test_packaging.py -m slow --timeout 3600

# The four packages as they go to an index: built, their metadata checked, each installed alone and run.
release: $(READY)
	rm -rf dist
	for package in . $(PACKAGES); do $(BIN)/python -m build --no-isolation --outdir dist $$package || exit 1; done
	$(BIN)/python -m twine check --strict dist/*
	$(BIN)/python -m pytest tests/test_packaging.py -m "slow or not slow" -k "wheel" --timeout 3600

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/ruff format --check $(PAGES)

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/ruff format $(PAGES)

types: $(READY)
	$(BIN)/mypy
	$(BIN)/mypy -p langchain_bedside
	$(BIN)/mypy -p llama_index.embeddings.bedside -p llama_index.vector_stores.bedside

# The stores that Bedside is measured against have an environment of their own: they pin other releases.
bench: $(READY)
	@test -x $(BENCH)/bin/python || $(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install --quiet --requirement benchmarks/requirements.txt -e .
	@! command -v npm >/dev/null || npm install --silent --prefix bench-results/node vectra@0.15.0 esbuild@0.25.0
	$(BIN)/python benchmarks/retrieval.py --output docs/benchmarks.md
	$(BIN)/python benchmarks/calibration.py --output docs/benchmarks.md
	$(BIN)/python benchmarks/answerability.py --output docs/answers.md
	$(BIN)/python benchmarks/notes.py --output docs/benchmarks.md
	$(BIN)/python benchmarks/tuning.py --output docs/benchmarks.md
	$(BIN)/python benchmarks/tasks.py --output docs/benchmarks.md
	$(BIN)/python benchmarks/corpora.py
	HF_HUB_OFFLINE=1 $(BENCH)/bin/python benchmarks/encoding.py --output docs/benchmarks.md
	$(BENCH)/bin/python benchmarks/store.py --output docs/benchmarks.md
	$(BIN)/python benchmarks/beside.py --output docs/benchmarks.md
	$(BIN)/python benchmarks/postgres.py --rows 1000000 --output docs/benchmarks.md
	$(BIN)/python benchmarks/browser.py --output
	$(BIN)/python benchmarks/audit.py --output
	$(BIN)/python benchmarks/encryption.py --output docs/benchmarks.md
	$(BENCH)/bin/python benchmarks/growth.py --output docs/benchmarks.md --plot docs/growth.svg

# The site, in site/; a warning, such as a link that leads nowhere, is an error.
docs: $(READY)
	$(BIN)/zensical build --strict --clean

docs-serve: $(READY)
	$(BIN)/zensical serve

constraints: $(READY)
	@{ sed -n '1p' constraints.txt; $(PIP) freeze --exclude-editable | sed 's/^torch==\([0-9.]*\).*/torch==\1/' | LC_ALL=C sort -f; } > constraints.new
	@mv constraints.new constraints.txt

clean:
	rm -rf $(VENV) dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis
