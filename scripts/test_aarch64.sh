#!/bin/sh
# Runs the tests of build/aarch64 on emulated CPUs: the suite on one that has every extension, then
# the kernels on ones that have fewer. What takes time there says nothing about an ARM machine.
#
# Tests that start the program are left out: the system would run an emulated one only with binfmt.
set -eu
cd "$(dirname "$0")/.."

export GEMMA4_TEST_SLOWNESS=20  # for what has to be done in some time
export QEMU_CPU=max
ctest --preset aarch64 --no-tests=error

# kernels CPU TABLE...: the CPU must have these kernel tables, and they must be right.
kernels() {
  export QEMU_CPU="$1"
  shift
  ctest --preset aarch64 --no-tests=error -V -R kernel_harness_test >build/aarch64/tables.log || {
    tail -n 40 build/aarch64/tables.log
    exit 1
  }
  found=$(sed -n 's/.*kernel table: //p' build/aarch64/tables.log | sort | tr '\n' ' ')
  [ "$found" = "$* " ] || {
    echo "test_aarch64: $QEMU_CPU should have the kernel tables $*, found $found" >&2
    exit 1
  }
  ctest --preset aarch64 --no-tests=error -R kernel_quantised_test
  echo "$QEMU_CPU: $*"
}
kernels max NEON NEON_DOTPROD NEON_I8MM
kernels neoverse-n1 NEON NEON_DOTPROD
kernels cortex-a72 NEON
