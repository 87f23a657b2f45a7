#!/bin/bash
# The rules of the house that a search can check. Run it with `bazel test //tests/house:house_test`, or by hand:
# tests/house/house_test.sh. Each rule names the files that break it.
set -uo pipefail
export LC_ALL=C
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

# What git knows at the top level; without git, what is there.
top_level() {
  { git ls-files 2>/dev/null || find . -mindepth 1 -not -path './.git/*' -printf '%P\n'; } |
    sed 's,/.*,,' | grep -vE '^(\.|bazel-)' | sort -u
}
diff <(printf '%s\n' BUILD.bazel README.md WORKSPACE bazel bridge runtime tests tools) <(top_level) | grep '^[<>]' |
  rule "the top level holds BUILD.bazel, README.md, WORKSPACE, bazel, bridge, runtime, tests, tools: no more, no less"

lines '#include.*bridge/' runtime | rule "runtime/ never includes bridge/"
lines '#include.*(tests|tools)/' runtime bridge | rule "runtime/ and bridge/ include neither tests/ nor tools/"

lines '#include <liburing' runtime bridge tools |
  grep -vE '^(runtime/(ring|operation)[a-z_]*\.(h|cc)|tools/bench/raw/.*):' |
  rule "<liburing.h> is included in runtime/ring.*, runtime/operation.* and the benchmarks' raw twins only"

lines '#include <(mutex|shared_mutex|condition_variable|semaphore|latch|barrier)>|#include "absl/synchronization' runtime |
  rule "runtime/ has no lock and sleeps nowhere but in the kernel's ring"
lines '#include <(condition_variable|semaphore)>' bridge | rule "threads of bridge/ sleep on weir's own futex"

# Numbers of lines, not of bytes: one concept a file.
find runtime bridge tests tools bazel -type f \( -name '*.cc' -o -name '*.h' -o -name '*.bzl' -o -name '*.sh' \) -print0 |
  xargs -0 -r awk 'FNR == 501 { print FILENAME " has more than 500 lines" }' | sort |
  rule "no source has more than 500 lines"

lines '\b(TODO|FIXME|XXX)\b' runtime bridge tests tools | rule "nothing is left to do"

# A header is public if it declares something in namespace weir itself; all else is in weir::internal.
public_headers() {
  find runtime bridge -name '*.h' -print0 | xargs -0 grep -lE '^namespace weir \{' | sort
}

# Public headers without a test of their name, and the test that covers them.
tested_with() {
  cat <<'END'
bridge/call.h            bridge/threaded_test
bridge/channel_errors.h  bridge/channel_test
bridge/producer.h        bridge/iterable_test
runtime/executor.h       bridge/thread_pool_test
END
}
public_headers | while read -r header; do
  test=$(tested_with | awk -v header="$header" '$1 == header { print $2 }')
  test=tests/${test:-${header%.h}_test}.cc
  [[ -e $test ]] || echo "$header: $test is missing"
done | rule "every public header has a test"

# The headers that including one brings along, itself first.
reached() {  # header
  local seen=" $1 " queue=("$1") header include
  while ((${#queue[@]})); do
    header=${queue[0]}
    queue=("${queue[@]:1}")
    for include in $(sed -n 's,^#include "weir/\([a-z_/]*\.h\)".*,\1,p' "$header"); do
      [[ $seen == *" $include "* || ! -e $include ]] && continue
      seen+="$include "
      queue+=("$include")
    done
  done
  tr ' ' '\n' <<<"$seen"
}

comm -13 <((reached runtime/runtime.h; reached bridge/bridge.h) | sort -u) <(public_headers) |
  rule "weir/runtime.h and weir/bridge.h include every public header"

find tests -name '*_test.cc' | sort | while read -r test; do
  name=$(basename "$test" .cc)
  grep -qE "\"$name(\\.cc)?\"" "$(dirname "$test")/BUILD.bazel" 2>/dev/null || echo "$test"
done | rule "every test stands in the BUILD.bazel of its folder"

# How many behaviours and defects there are of each letter, see tests/bridge/README.md.
numbered() {
  local letter
  for letter in T25 S14 I42 C18 W14 X05 P12 D24 N24; do
    seq -f "${letter:0:1}%02g" 1 "${letter:1}"
  done | sort
}
pinned() {
  {
    grep -rhoE 'TEST[A-Z_]*\([^)]*\)' tests/bridge | grep -oE '[A-Z][0-9]{2}'
    grep -oE '\b[A-Z]-[0-9]{2}' tests/bridge/README.md | tr -d -
  } | sort -u
}
comm -23 <(numbered) <(pinned) |
  rule "every behaviour and defect of the bridge has a test of its number, or tests/bridge/README.md says why not"

((failures == 0)) || { echo "$failures rules are broken"; exit 1; }
