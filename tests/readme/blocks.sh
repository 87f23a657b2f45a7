#!/bin/bash
# blocks.sh README.md FILE…: writes each C++ block of README.md into a file of its own, in their order.
set -euo pipefail
readme=$1
shift
rm -f "$@"
awk -v files="$*" '
  BEGIN { wanted = split(files, file, " ") }
  /^```cpp$/ { inside = 1; block++; next }
  /^```/ { inside = 0 }
  inside && block <= wanted { print > file[block] }
  END {
    if (block != wanted) {
      print "README.md has " block " C++ blocks; tests/readme/BUILD.bazel names " wanted > "/dev/stderr"
      exit 1
    }
  }' "$readme"
