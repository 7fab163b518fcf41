# The commands of README.md. The work is done by the CMake presets; here they get short names.
.DEFAULT_GOAL := help
.PHONY: help run build test test-clients test-page test-long load test-aarch64 vocabulary bench lint format asan tsan fuzz verify-full-size deps clean

PROGRAM := build/release/gemma4

help:  ## show this list
	@sed -n 's/^\([a-z][a-z -]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 20

run: build  ## install what is missing, build, chat with the demo model
	@$(PROGRAM) chat

build:  ## install what is missing, build build/release/gemma4
	@scripts/install_deps.sh build
	@$(MAKE) --no-print-directory build/release/build.ninja
	@cmake --build --preset release

test:  ## install what is missing, build, run the fast suite
	@scripts/install_deps.sh build test
	@$(MAKE) --no-print-directory build/ci/build.ninja
	@cmake --build --preset ci
	@$(MAKE) --no-print-directory vocabulary
	@ctest --preset ci --no-tests=error
	@$(MAKE) --no-print-directory tsan

test-long: test  ## the fast suite, then random constrained answers through an independent validator
	@scripts/install_deps.sh vocabulary
	@scripts/check_samples.sh

test-clients:  ## the clients `openai`, `@anthropic-ai/sdk` and `ollama` against the server; node, npm, network
	@scripts/install_deps.sh build test vocabulary
	@$(MAKE) --no-print-directory build/ci/build.ninja
	@cmake --build --preset ci --target gemma4
	@scripts/test_clients.sh || [ $$? = 77 ]

test-page:  ## the page at / in headless Chromium; node, npm, network
	@scripts/install_deps.sh build test vocabulary page
	@$(MAKE) --no-print-directory build/ci/build.ninja
	@cmake --build --preset ci --target gemma4
	@scripts/test_page.sh || [ $$? = 77 ]

# Tests of the real vocabulary skip without it, and say so.
vocabulary:
	@{ scripts/install_deps.sh vocabulary && scripts/fetch_vocabulary.sh; } || \
	  echo "note: the real vocabulary could not be fetched; its tests will be skipped"
	@scripts/fetch_schema_suite.sh || echo "tests of the JSON Schema suite will be skipped"

bench:  ## micro-benchmarks, the demo model's speed, constrained decoding beside xgrammar
	@scripts/install_deps.sh build bench
	@$(MAKE) --no-print-directory build/bench/build.ninja
	@cmake --build --preset bench
	@for program in build/bench/bench/*_bench; do [ ! -x $$program ] || $$program || exit 1; done
	@build/bench/gemma4 bench
	@{ scripts/install_deps.sh vocabulary && scripts/compare_xgrammar.sh; } || \
	  echo "note: there is no comparison with xgrammar (no network?)"

lint:  ## format, include direction, words, headers, clang-tidy
	@scripts/install_deps.sh build test lint
	@$(MAKE) --no-print-directory build/ci/build.ninja
	@scripts/lint.sh build/ci

format:  ## rewrite the sources in the project's format
	@scripts/install_deps.sh lint
	@find $(wildcard src apps tests bench fuzz) -type f \
	  \( -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh' \) -exec clang-format-14 -i {} +

asan:  ## the fast suite under address and undefined behaviour sanitizer
	@scripts/install_deps.sh build test fuzz
	@$(MAKE) --no-print-directory build/asan/build.ninja
	@cmake --build --preset asan
	@ctest --preset asan --no-tests=error

# Where addresses are more random than the sanitizer of clang 14 can bear, they must not be.
tsan:  ## server, engine and what is between them under thread sanitizer; part of `make test`
	@scripts/install_deps.sh build test fuzz
	@$(MAKE) --no-print-directory build/tsan/build.ninja
	@cmake --build --preset tsan --target threads_tests
	@if setarch -R true 2>/dev/null; then fixed='setarch -R'; fi; $$fixed ctest --preset tsan --no-tests=error

load:  ## 10,000 requests over 256 connections against the demo model: none lost, none mixed up; node
	@scripts/install_deps.sh build vocabulary
	@$(MAKE) --no-print-directory build/ci/build.ninja
	@cmake --build --preset ci --target gemma4
	@node tests/load/load.mjs build/ci/gemma4

test-aarch64:  ## build for ARM, run the tests on emulated CPUs; minutes
	@scripts/install_deps.sh build test aarch64
	@scripts/fetch_arm64_libraries.sh
	@$(MAKE) --no-print-directory build/aarch64/build.ninja
	@cmake --build --preset aarch64
	@scripts/test_aarch64.sh

fuzz:  ## every fuzz target for a quarter minute; scripts/fuzz.sh 3600 for an hour each
	@scripts/install_deps.sh build test fuzz
	@$(MAKE) --no-print-directory build/asan/build.ninja
	@cmake --build --preset fuzz
	@scripts/fuzz.sh

verify-full-size: build  ## full-size E2B from the formula against the reference: minutes, 10 GB of disk
	@scripts/verify_full_size.sh

deps:  ## install every Debian package that any of these commands needs
	@scripts/install_deps.sh build test bench lint fuzz aarch64 vocabulary page

clean:  ## remove everything built
	@rm -rf build

# Ninja runs CMake again by itself when a CMakeLists.txt changes, but does not know of the presets.
build/%/build.ninja: CMakePresets.json
	@cmake --preset $*
	@touch $@
