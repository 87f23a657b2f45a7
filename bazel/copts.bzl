"""Compiler flags of weir's own targets. Third-party code is built without them."""

# The language and the warnings. -Werror is added by .bazelrc, for this workspace alone.
WEIR_COPTS = [
    "-std=c++20",
    "-pthread",
    "-Wall",
    "-Wextra",
    "-Wshadow",
    "-Wdelete-non-virtual-dtor",
    "-Woverloaded-virtual",
    "-Wunused-result",
]

WEIR_LINKOPTS = ["-pthread"]
