"""weir_test: one line for each test."""

load("//bazel:copts.bzl", "WEIR_COPTS", "WEIR_LINKOPTS")

def _floor():
    """What a test sees of weir: a test of the runtime sees the runtime only."""
    return "//runtime" if native.package_name().startswith("tests/runtime") else "//:weir"

def weir_test(name, srcs = None, threads = False, deps = [], tags = [], size = "small", **kwargs):
    """A GoogleTest program, with //tests/testing and weir, or of weir its runtime if that is what it tests.

    Args:
      name: such as "loop_test"; its source is loop_test.cc unless srcs says otherwise.
      srcs: the sources, if they are others.
      threads: it uses more than one thread, so that ThreadSanitizer should see it.
      deps: what it needs besides.
      tags: further tags, such as "exclusive" for a test that no other may run beside.
      size: how long it may take on any machine: "small" 5 minutes, "medium" 15, "large" 30.
      **kwargs: as for cc_test.
    """
    native.cc_test(
        name = name,
        srcs = srcs or [name + ".cc"],
        size = size,
        copts = WEIR_COPTS,
        linkopts = WEIR_LINKOPTS,
        tags = tags + (["threads"] if threads else []),
        deps = deps + [
            _floor(),
            "//tests/testing",
            "@com_google_googletest//:gtest_main",
        ],
        **kwargs
    )
