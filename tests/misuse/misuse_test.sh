#!/bin/bash
# Misuse does not compile, and the first line of the compiler's message says what to do. Each program of cases/ is compiled
# with -DMISUSE, where it must fail with what its line "// says:" promises, and without, where it must compile.
# By hand: tests/misuse/misuse_test.sh [compiler...]; else with the compilers that are installed.
set -uo pipefail
export LC_ALL=C
exec </dev/null

# Under Bazel, this script is a link from the runfiles into the workspace.
here=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
root=$(cd "$here/../.." && pwd)
scratch=$(mktemp -d "${TEST_TMPDIR:-/tmp}/misuse.XXXXXX")
trap 'rm -rf "$scratch"' EXIT
failures=0
checked=0

fail() {  # text
  failures=$((failures + 1))
  echo "FAILED: $1"
}

# The include folder that the BUILD files describe.
mkdir -p "$scratch/include" "$scratch/floors/weir"
ln -s "$root" "$scratch/include/weir"
for floor in runtime/runtime bridge/bridge bridge/weir; do
  echo "#include \"weir/$floor.h\"" >"$scratch/floors/weir/$(basename "$floor").h"
done
flags=(-std=c++20 -pthread -Wall -Wextra -Wshadow -I"$scratch/include" -I"$scratch/floors")

# All of weir's headers, compiled once. -Werror, as in this workspace, makes the forgotten co_await an error.
prepare() {  # compiler
  rm -rf "$scratch/all"
  mkdir -p "$scratch/all"
  echo '#include "weir/weir.h"' >"$scratch/all/all.h"
  "$1" "${flags[@]}" -x c++-header "$scratch/all/all.h" -o "$scratch/all/all.h.gch"
}

compiles() {  # compiler file flags...
  local compiler=$1 file=$2
  shift 2
  "$compiler" "${flags[@]}" -Werror "$@" -include "$scratch/all/all.h" -fsyntax-only "$file" >"$scratch/output" 2>&1
}

check() {  # compiler file
  local name says first
  name="$(basename "$1"), $(basename "$2")"
  says=$(sed -n '1s,^// says: ,,p' "$2")
  [[ -n $says ]] || { fail "$name: its first line is no \"// says: …\""; return; }
  checked=$((checked + 1))
  compiles "$1" "$2" || { fail "$name: does not compile as it should be"; head -n 20 "$scratch/output"; return; }
  if compiles "$1" "$2" -DMISUSE; then
    fail "$name: the misuse compiles"
    return
  fi
  first=$(grep -m 1 'error: ' "$scratch/output")
  [[ $first == *"$says"* ]] || { fail "$name: the message begins with"; echo "    $first"; echo "  instead of"; echo "    $says"; }
}

# Those that are installed, each once.
compilers() {
  local name path
  for name in clang++ clang++-19 clang++-18 clang++-17 g++ g++-12 g++-13 g++-14; do
    path=$(command -v "$name") && readlink -f "$path"
  done | sort -u
}

if (($# > 0)); then found=("$@"); else mapfile -t found < <(compilers); fi
for compiler in "${found[@]}"; do
  prepare "$compiler" || { fail "$compiler does not compile weir/weir.h"; continue; }
  before=$failures
  for file in "$here"/cases/*.cc; do check "$compiler" "$file"; done
  echo "$compiler: $((failures - before)) failures"
done

((checked > 0)) || fail "nothing was checked"
((failures == 0)) || { echo "$failures failures"; exit 1; }
