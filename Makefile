# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
# make help lists the targets. Needed: make, Python 3.11 or newer and a C compiler; the firmware's
# tests need what `make setup-firmware` installs.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo
# A file stays with one worker, for its fixtures; long files first (tests/conftest.py).
TEST_ARGS ?= -n auto --dist loadfile --no-loadscope-reorder
# What the compiled front end is made of, and the rooms that the environment knows: a change in
# either installs the package anew.
NATIVE := $(wildcard ecgqa_tflite/*/__init__.py) CMakeLists.txt $(wildcard firmware_bridge/src/*.[ch] firmware_bridge/host/*.[ch] \
	firmware_bridge/include/ecgqa/*.h)
STARTED := $(shell date +%s)
elapsed = $$(( ($$(date +%s) - $(STARTED)) / 60 )) min $$(( ($$(date +%s) - $(STARTED)) % 60 )) s

# Many small matrices and one process a core: threads of BLAS would only get in each other's way.
export OMP_NUM_THREADS = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo docs wheels test test-thorough setup-packers setup-slurm test-slurm lint format clean pictures readme \
	bench-frontend bench-page bench-live bench-archives peers bench-peers \
	aarch64-root test-aarch64 armhf-root test-armhf

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z][a-z0-9-]*:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.built ## make .venv with the package, training and development tools, if needed

define REQUIRE
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: make setup PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0] + ": make setup PYTHON=...")'
	@command -v $${CC:-cc} >/dev/null || { echo "a C compiler is needed (cc, or set CC)"; exit 1; }
endef

$(VENV)/.made: pyproject.toml
	$(REQUIRE)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e '.[train,dev]'
	@touch $@
	@echo "set up in $(elapsed), $$(du -sm $(VENV) | cut -f1) MB in $(VENV)"

# Without isolation: the build tools are in the environment, and nothing is fetched again.
$(VENV)/.built: $(VENV)/.made $(NATIVE)
	PATH="$(CURDIR)/$(BIN):$$PATH" \
		$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# The demo needs the base install alone; where .venv is, with all the rest, it is taken instead.
BASE := build/base
$(BASE)/.made: pyproject.toml $(NATIVE) $(shell find ecgqa_tflite -name '*.py' -o -name '*.jinja')
	$(REQUIRE)
	$(PYTHON) -m venv $(BASE)
	$(BASE)/bin/python -m pip install --quiet --disable-pip-version-check .
	@touch $@

DEMO_ENV := $(if $(wildcard $(VENV)/.built),$(VENV),$(BASE))
demo: $(if $(wildcard $(VENV)/.built),setup,$(BASE)/.made) ## a simulated recording, its assessment, two pictures and a proven firmware bundle
	@mkdir -p $(DEMO)
	@$(DEMO_ENV)/bin/python -c "from ecgqa_tflite.recording.simulator import write_demo; \
		write_demo('$(DEMO)/recording', overwrite=True)"
	$(DEMO_ENV)/bin/ecgqa assess $(DEMO)/recording/demo --picture $(DEMO)/strip.png \
		--html $(DEMO)/page.html --json $(DEMO)/decisions.json --overwrite
	$(DEMO_ENV)/bin/ecgqa scalogram $(DEMO)/recording/demo --at 35 -o $(DEMO)/scalogram.png --overwrite
	$(DEMO_ENV)/bin/ecgqa-convert light_cnn -o $(DEMO)/bundle --overwrite
	@echo
	@echo "recording  $(DEMO)/recording/demo.hea   90 simulated seconds, some of them disturbed"
	@echo "decisions  $(DEMO)/decisions.json"
	@echo "page       $(DEMO)/page.html   open it in a browser"
	@echo "pictures   $(DEMO)/strip.png $(DEMO)/scalogram.png"
	@echo "bundle     $(DEMO)/bundle   see its manifest.json; copy it into a firmware"
	@echo "took $(elapsed); $$(du -sm $(DEMO_ENV) | cut -f1) MB in $(DEMO_ENV), $$(du -sm $(DEMO) | cut -f1) MB in $(DEMO)"

# The same checks on further boards, compilers and user lands are test-thorough's. CI runs both at
# once (MARKS), so that what they compile and build is made once.
MARKS ?= not thorough and not apart
test: setup ## the tests, the firmware's on this machine and a Cortex-M4 (8 min)
	$(BIN)/python -m pytest $(TEST_ARGS) -m '$(MARKS)'

test-thorough: setup ## what `make test` leaves out: every board and user land (15 min)
	$(BIN)/python -m pytest $(TEST_ARGS) -m 'thorough and not apart'

# In an environment of their own: they ask for other versions of what we have.
setup-packers: setup ## install PlatformIO's and ESP-IDF's packers into build/packers
	$(PYTHON) -m venv build/packers
	build/packers/bin/python -m pip install --quiet 'idf-component-manager>=2' 'platformio>=6.1'

setup-slurm: ## install a one-node SLURM for test-slurm (apt-get)
	$(if $(filter 0,$(shell id -u)),,sudo )apt-get install -y --no-install-recommends \
		slurmctld slurmd slurm-client munge

test-slurm: setup ## archives under a one-node SLURM, and with twenty poison files (minutes; root)
	$(BIN)/python -m pytest -p no:xdist -m apart tests/unit/test_bulk_slurm.py \
		tests/unit/test_bulk_engines.py

lint: setup ## ruff and mypy (lint-c: the C sources)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## let ruff rewrite the sources; SPDX lines where they are missing
	$(BIN)/python .ci/spdx.py
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# From an empty folder, so that what a page no longer makes is gone; strict: a warning fails.
docs: setup ## the guides and the reference as a site: build/docs/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --clean --config-file .ci/docs/mkdocs.yml
	@echo "build/docs/index.html"

# Of this machine and, where its cross gcc is, of the Raspberry Pi; cibuildwheel makes the others.
wheels: setup ## sdist and wheels, tagged manylinux, into dist/
	rm -rf dist
	$(BIN)/python .ci/wheels.py dist $(shell uname -m) $(if $(filter x86_64,$(shell uname -m)),\
		$(if $(shell command -v aarch64-linux-gnu-gcc),aarch64))

readme: setup pictures ## write the README's figures and pictures anew
	$(BIN)/python .ci/readme_figures.py
	$(BIN)/python .ci/requirements.py

bench-page: setup ## size of a day's page, time to write it and until Chromium shows it
	$(BIN)/python .ci/page_figures.py

bench-live: setup ## delay of `ecgqa stream` from the last sample to the decision (3 min)
	$(BIN)/python .ci/live_figures.py

ARCHIVE ?= build/archive
bench-archives: setup ## hours per second and memory of `ecgqa bulk` (15 min; see .ci/archive_figures.py)
	$(BIN)/python .ci/archive_figures.py $(ARCHIVE) --cost

pictures: setup ## draw the README's pictures anew
	$(BIN)/python .ci/readme_pictures.py

bench-frontend: setup ## time the C front end, the float64 reference and pywt on one core
	$(BIN)/ecgqa bench frontend --json build/bench/frontend.json --overwrite

# In a folder of their own, 700 MB: what they depend on must not replace what we have.
PEERS := build/peers
# ecg-quality asks for a TensorFlow of its own, half a gigabyte; ours will do
WITHOUT_DEPENDENCIES := ecg-quality
# fCWT's wheel brings no FFTW: the system's, or Debian's package unpacked beside it
FFTW := libfftw3f.so.3
peers: setup ## install what we are held against into build/peers, where it installs
	@for peer in ssqueezepy neurokit2 fCWT biosqi ecg-quality; do test -e $(PEERS)/.$$peer || { mkdir -p $(PEERS); \
		case " $(WITHOUT_DEPENDENCIES) " in *" $$peer "*) alone=--no-deps;; *) alone=;; esac; \
		$(BIN)/python -m pip install --quiet $$alone --target $(PEERS) $$peer >$(PEERS)/$$peer.log 2>&1 || \
		echo "$$peer does not install here: see $(PEERS)/$$peer.log"; touch $(PEERS)/.$$peer; }; done
	@test -e $(PEERS)/$(FFTW) || PATH="$$PATH:/sbin" ldconfig -p 2>/dev/null | grep -q $(FFTW) || { cd $(PEERS) && \
		apt-get download -qq libfftw3-single3 && dpkg-deb -x libfftw3-single3_*.deb . && \
		cp usr/lib/*/$(FFTW)* .; } || echo "fCWT needs $(FFTW): install FFTW 3, single precision"

bench-peers: peers ## time other wavelet transforms, runtimes and a quality index in the same run
	LD_LIBRARY_PATH="$(CURDIR)/$(PEERS)$${LD_LIBRARY_PATH:+:$$LD_LIBRARY_PATH}" \
		$(BIN)/ecgqa bench peers --packages $(PEERS) --json build/bench/peers.json --overwrite

AARCH64_ROOT := $(CURDIR)/build/aarch64_root
aarch64-root: setup ## a Raspberry Pi's user land with the base install, for QEMU: some 500 MB
	$(BIN)/python tests/firmware/aarch64_root.py $(AARCH64_ROOT)
	@echo "export ECGQA_AARCH64_ROOT=$(AARCH64_ROOT)   # bench --target aarch64 runs LiteRT in it"

test-aarch64: setup ## assess and bench in an aarch64 user land under QEMU (root, or user namespaces)
	$(BIN)/python -m pytest -p no:xdist tests/firmware/test_aarch64_root.py

ARMHF_ROOT := $(CURDIR)/build/armhf_root
armhf-root: setup ## a 32-bit Raspberry Pi's user land, which has no LiteRT: some 600 MB
	$(BIN)/python tests/firmware/armhf_root.py $(ARMHF_ROOT)

test-armhf: setup ## assess in a 32-bit user land under QEMU (root, or user namespaces)
	$(BIN)/python -m pytest -p no:xdist -m apart tests/firmware/test_armhf_root.py

clean: ## remove what was built and cached; .venv stays
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +

-include firmware_bridge/firmware.mk
