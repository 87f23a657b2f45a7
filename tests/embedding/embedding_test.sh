#!/bin/bash
# Embeds weir in a workspace elsewhere, as its README says: the same Bazel builds one program on each floor and one on
# both, and they run. Nothing of it stays behind, no server either.
set -euo pipefail
exec </dev/null

# Under Bazel, this script is a link from the runfiles into weir's workspace.
weir=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
scratch=$(mktemp -d "${TEST_TMPDIR:-/tmp}/embedding.XXXXXX")
cd "$scratch"
mkdir -p home app/own

# The disk cache of the user's clones, if there is one; nothing else of the user's home.
cache=$(getent passwd "$(id -u)" | cut -d: -f6)/.cache/weir-bazel
export HOME="$scratch/home"

finish() {
  local code=$?
  cd /
  chmod -R u+w "$scratch" 2>/dev/null || true
  rm -rf "$scratch"
  exit "$code"
}
trap finish EXIT
cd app

cat >WORKSPACE <<END
workspace(name = "app")

local_repository(
    name = "weir",
    path = "$weir",
)

# A repository of its own, which weir must use: on_runtime.cc looks for the definition.
new_local_repository(
    name = "liburing",
    build_file_content = """cc_library(
    name = "liburing",
    defines = ["APP_HAS_LIBURING"],
    linkopts = ["-luring"],
    visibility = ["//visibility:public"],
)""",
    path = "own",
)

load("@weir//bazel:repositories.bzl", "weir_repositories")

weir_repositories()
END

cat >BUILD.bazel <<'END'
cc_binary(
    name = "on_runtime",
    srcs = ["on_runtime.cc"],
    deps = ["@weir//runtime"],
)

cc_binary(
    name = "on_bridge",
    srcs = ["on_bridge.cc"],
    deps = ["@weir//bridge"],
)

cc_binary(
    name = "on_weir",
    srcs = ["on_weir.cc"],
    deps = ["@weir"],
)
END

{
  echo 'build --cxxopt=-std=c++20 --spawn_strategy=local'
  [[ ! -d $cache ]] || echo "build --disk_cache=$cache"
  # The compiler that weir's own setup chose.
  [[ ! -e $weir/.bazelrc.compiler ]] || grep '^build --repo_env=CC=' "$weir/.bazelrc.compiler"
} >.bazelrc

cat >on_runtime.cc <<'END'
#include "weir/runtime.h"

#include <cstdio>

#ifndef APP_HAS_LIBURING
#error weir did not use the liburing of the workspace
#endif

weir::Task<int> answer() {
  co_await weir::sleep_for(absl::Milliseconds(1));
  co_return 42;
}

int main() {
  auto loop = weir::Loop::create();
  if (!loop.ok()) {
    std::puts(loop.status().ToString().c_str());
    return 1;
  }
  std::printf("runtime %d\n", (*loop)->run(answer()));
}
END

cat >on_bridge.cc <<'END'
#include "weir/bridge.h"

#include <cstdio>

weir::Task<int> answer() {
  auto add = weir::threaded([](int a, int b) { return a + b; });
  co_return co_await add(40, 2);
}

int main() { std::printf("bridge %d\n", weir::run(answer())); }
END

cat >on_weir.cc <<'END'
#include "weir/weir.h"

#include <cstdio>

weir::Task<int> serve() {
  auto half = weir::threaded([] { return 21; });
  co_await weir::yield();
  std::printf("weir %d\n", 2 * co_await half());
  co_return 0;
}

int main() { return weir::entrypoint({.pool_size = 1}, serve()); }
END

bazel --batch --nohome_rc --output_user_root="$scratch/output" --host_jvm_args=-Xmx1g \
  build --noshow_progress --curses=no //...

failures=0
for floor in runtime bridge weir; do
  said=$("bazel-bin/on_$floor") || { echo "on_$floor ended with $?"; failures=1; }
  echo "$said"
  [[ $said == "$floor 42" ]] || failures=1
done
exit "$failures"
