# SPDX-FileCopyrightText: ecgqa-tflite contributors
# SPDX-License-Identifier: Apache-2.0
# Firmware targets, included by the top Makefile ($(BIN): the virtual environment's programs).

FIRMWARE := firmware_bridge
FIRMWARE_C := $(wildcard $(FIRMWARE)/src/*.c)
FIRMWARE_ALL_C = $(shell find $(FIRMWARE) -name '*.[ch]')
MODEL ?= light_cnn
FUZZ_RUNS ?= 100000
FLIPS ?= 2000

# Debian's names. libclang-rt: the sanitizers and libFuzzer.
FIRMWARE_TOOLS := gcc libc6-dev make cmake \
	gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm qemu-user \
	gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc \
	gcc-aarch64-linux-gnu libc6-dev-arm64-cross gcc-arm-linux-gnueabihf libc6-dev-armhf-cross \
	g++ libcmocka-dev clang-14 libclang-rt-14-dev clang-tidy-14 clang-format-14 cppcheck

.PHONY: setup-firmware test-firmware size fuzz damage lint-c c-format cppcheck \
	tidy-host tidy-m0plus tidy-m4 tidy-m55

setup-firmware: ## install compilers, emulators and checkers of the firmware (apt-get)
	$(if $(filter 0,$(shell id -u)),,sudo )apt-get install -y --no-install-recommends $(FIRMWARE_TOOLS)

test-firmware: setup ## the firmware on every board and core, bit for bit, under QEMU
	$(BIN)/python -m pytest $(TEST_ARGS) tests/firmware

size: setup ## RAM, flash and instructions of MODEL (default light_cnn) on each core
	$(BIN)/ecgqa bench size $(MODEL)

fuzz: setup ## FUZZ_RUNS (default 100000) inputs to what takes outside data, and to the kernels
	$(BIN)/python tests/firmware/fuzz.py --runs $(FUZZ_RUNS)

damage: setup ## FLIPS (default 2000) changed bits in a bundle, and in its workspace: what sees them
	$(BIN)/python tests/firmware/damage.py --flips $(FLIPS)

# Each set of kernels is seen by the target that takes it, with newlib's headers.
TIDY := clang-tidy-14 --quiet --warnings-as-errors='*' $(FIRMWARE_C) -- -std=c99 -I$(FIRMWARE)/include
TIDY_ARM := --target=arm-none-eabi -mthumb -mfloat-abi=hard -isystem /usr/include/newlib
TIDY_host :=
TIDY_m0plus := $(TIDY_ARM:hard=soft) -mcpu=cortex-m0plus
TIDY_m4 := $(TIDY_ARM) -mcpu=cortex-m4
TIDY_m55 := $(TIDY_ARM) -mcpu=cortex-m55
TIDIED := tidy-host tidy-m0plus tidy-m4 tidy-m55

lint-c: c-format cppcheck $(TIDIED) ## clang-format, clang-tidy, cppcheck and its MISRA add-on on the C library

c-format: ## of lint-c: clang-format, and comments of 100 columns
	clang-format-14 --dry-run --Werror $(FIRMWARE_ALL_C)
	! grep -nE '.{101}' $(FIRMWARE_ALL_C) # comments, which clang-format leaves alone

$(TIDIED): tidy-%:
	$(TIDY) $(TIDY_$*)

# cppcheck sees src/ alone, never generated constants: weights take it minutes. A MISRA rule that is
# deviated from is named, with the reason, in misra_deviations.txt; every other one is an error.
cppcheck: ## of lint-c: cppcheck and its MISRA add-on
	cppcheck --quiet --std=c99 --error-exitcode=1 --inline-suppr --addon=misra \
		--enable=warning,style,performance,portability -I$(FIRMWARE)/include \
		--suppressions-list=$(FIRMWARE)/cppcheck_suppressions.txt \
		$(shell awk '/^[0-9]/ {print "--suppress=misra-c2012-" $$1}' $(FIRMWARE)/misra_deviations.txt) \
		$(FIRMWARE_C)
