#!/bin/bash
# The rules of the house that a search can check. Run it with `bazel test //tests/house:house_test`, or by hand:
# tests/house/house_test.sh. Each rule names the files that break it.
set -uo pipefail
shopt -s lastpipe  # so that rule() counts in this shell

# Under Bazel, this script is a link from the runfiles into the workspace.
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
cd "$root" || exit 1
[[ -f WORKSPACE ]] || { echo "no workspace in $root"; exit 1; }
failures=0

# A rule holds if nothing is printed for it on standard input.
rule() {  # text
  local offenders
  offenders=$(cat)
  if [[ -n $offenders ]]; then
    failures=$((failures + 1))
    printf 'BROKEN: %s\n%s\n\n' "$1" "$(sed 's/^/    /' <<<"$offenders")"
  else
    echo "holds: $1"
  fi
}

sources() {  # folders...
  find "$@" -type f \( -name '*.cc' -o -name '*.h' \) | sort
}

# Lines of the sources in some folders that match a pattern.
lines() {  # pattern folders...
  local pattern=$1
  shift
  sources "$@" | xargs -r grep -nE -- "$pattern" /dev/null
}

find . -mindepth 1 -maxdepth 1 -not -name '.*' -not -name 'bazel-*' -printf '%f\n' |
  grep -vxE 'runtime|bridge|tests|tools|bazel|WORKSPACE|BUILD\.bazel|README\.md' |
  rule "the top level holds runtime, bridge, tests, tools, bazel, WORKSPACE, BUILD.bazel and README.md only"

lines '#include.*bridge/' runtime | rule "runtime/ never includes bridge/"
lines '#include.*(tests|tools)/' runtime bridge | rule "runtime/ and bridge/ include neither tests/ nor tools/"

lines '#include <liburing' runtime bridge tools |
  grep -vE '^runtime/(ring|operation)[a-z_]*\.(h|cc):' |
  rule "<liburing.h> is included in runtime/ring.* and runtime/operation.* only"

lines '#include <(mutex|shared_mutex|condition_variable|semaphore|latch|barrier)>|#include "absl/synchronization' runtime |
  rule "runtime/ has no lock and sleeps nowhere but in the kernel's ring"
lines '#include <(condition_variable|semaphore)>' bridge | rule "threads of bridge/ sleep on weir's own futex"

# Numbers of lines, not of bytes: one concept a file.
find runtime bridge tests tools bazel -type f \( -name '*.cc' -o -name '*.h' -o -name '*.bzl' -o -name '*.sh' \) -print0 |
  xargs -0 -r awk 'FNR == 501 { print FILENAME " has more than 500 lines" }' | sort |
  rule "no source has more than 500 lines"

lines '(TODO|FIXME|XXX)' runtime bridge tests tools | rule "nothing is left to do"

# Headers that need no test of their own, each with its reason.
untested() {
  cat <<'END'
bridge/bridge.h    includes the others
bridge/weir.h      includes the others
runtime/runtime.h  includes the others
runtime/executor.h an interface, tested by those who implement it
END
}
sources runtime bridge | grep '\.h$' | while read -r header; do
  [[ -e tests/${header%.h}_test.cc ]] && continue
  untested | grep -q "^$header " || echo "$header: tests/${header%.h}_test.cc is missing"
done | rule "every header has a test of its name"

find tests -name '*_test.cc' | sort | while read -r test; do
  name=$(basename "$test" .cc)
  grep -qE "\"$name(\\.cc)?\"" "$(dirname "$test")/BUILD.bazel" 2>/dev/null || echo "$test"
done | rule "every test stands in the BUILD.bazel of its folder"

((failures == 0)) || { echo "$failures rules are broken"; exit 1; }
