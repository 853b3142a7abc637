# Every target makes its own virtual environment: `make demo` and `make test` are all the set-up there is.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMPS := .stamps

.PHONY: demo test lint bench soak long-life fuzz test-slow models clean
.DELETE_ON_ERROR:

demo: $(STAMPS)/run ## a virtual scan, live: maps in the browser and in Tiled
	$(BIN)/braggstream demo $(DEMO)

test: $(STAMPS)/dev ## the tests; those that need chromium are skipped loudly without it
	$(BIN)/pytest --numprocesses 2 --dist loadfile $(TEST)

test-slow: $(STAMPS)/dev ## the minutes-long tests, too
	$(BIN)/pytest -m "not soak" --timeout 1200 $(TEST)

lint: $(STAMPS)/dev ## ruff, mypy, the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(STAMPS)/bench ## figures beside their peers'
	$(BIN)/braggstream benchmark $(BENCH)

soak: $(STAMPS)/dev long-life ## two hours: long-life, kills of ingest, back-pressure, then SOAK_KILLS (200) of every process of whole runs
	KILL_POINTS=200 LOSS_KILLS=20 BACKPRESSURE_SECONDS=600 $(BIN)/pytest -s --timeout 0 -m "slow or not slow" \
	  tests/ingest/test_kill_points.py tests/ingest/test_loss_window.py tests/ingest/test_back_pressure.py
	$(BIN)/pytest -s -m soak --timeout 0 $(TEST)

long-life: $(STAMPS)/dev ## SOAK_SECONDS (3600; 86400 is a day) at 200 messages/s: memory and files stay level, counts are exact
	SOAK_SECONDS=$(or $(SOAK_SECONDS),3600) $(BIN)/pytest -s --timeout 0 -m slow tests/e2e/test_long_life.py

fuzz: $(STAMPS)/dev ## FUZZ_MESSAGES (1000000) of seed FUZZ_SEED, damaged, into the decoders; FUZZ=atheris: coverage leads
	$(if $(filter atheris,$(FUZZ)),$(BIN)/uv pip install --quiet --python $(BIN)/python "atheris>=3")
	$(BIN)/python tests/fuzz.py $(FUZZ)

models: $(STAMPS)/dev ## train the shipped classifiers again
	$(BIN)/braggstream train models

clean: ## remove the virtual environment
	rm -rf $(VENV) $(STAMPS)

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "braggstream needs Python 3.11 or newer; set PYTHON=python3.x for make"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing: install it (Debian and Ubuntu: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5,<1"
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/run: $(STAMPS)/venv pyproject.toml
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -e .
	$(BIN)/python -m compileall -q stream # where PYTHONDONTWRITEBYTECODE is set each process would compile it again
	$(BIN)/python -m stream.service.warm
	@touch $@

$(STAMPS)/dev: $(STAMPS)/run
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python -e ".[dev,train]"
	@touch $@

$(STAMPS)/bench: $(STAMPS)/dev # the peer brings 400 MB of CUDA libraries, so it is no part of the tests
	$(BIN)/uv pip install --quiet --python $(BIN)/python "astra-toolbox>=2.2"
	@touch $@
