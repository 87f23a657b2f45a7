"""The third-party code that weir is built with, taken from where the system's packages put it. Nothing is downloaded.

In the WORKSPACE of who embeds weir:

    local_repository(name = "weir", path = "/path/to/weir")
    load("@weir//bazel:repositories.bzl", "weir_repositories")
    weir_repositories()

A repository that the workspace has declared before, under its usual name, is used instead of the system's.
"""

load(":absl_targets.bzl", "ABSL_TARGETS")

_LIBRARY_FOLDERS = [
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/lib",
    "/usr/local/lib",
]

def _missing(repository_ctx, package):
    fail("weir: %s is not installed. Run tools/setup in weir's folder, or install %s." % (repository_ctx.name, package))

def _system_repository_impl(repository_ctx):
    attr = repository_ctx.attr
    for path in attr.needs:
        if not repository_ctx.path(path).exists:
            _missing(repository_ctx, attr.package)
    for path, name in attr.links.items():
        repository_ctx.symlink(path, name)
    for label, name in attr.files.items():
        repository_ctx.symlink(label, name)

_system_repository = repository_rule(
    implementation = _system_repository_impl,
    local = True,
    attrs = {
        "files": attr.label_keyed_string_dict(doc = "Files of weir, and where they stand in the repository."),
        "links": attr.string_dict(doc = "Folders of the system, and where they stand in the repository."),
        "needs": attr.string_list(doc = "Files that the package installs."),
        "package": attr.string(doc = "Debian's name of the package."),
    },
    doc = "A repository made of symbolic links. Headers in /usr/include need none: the compiler looks there.",
)

def _optional_repository_impl(repository_ctx):
    attr = repository_ctx.attr
    here = repository_ctx.path(attr.header).exists
    repository_ctx.file("BUILD.bazel", """cc_library(
    name = "%s",
    defines = %r,
    linkopts = %r,
    visibility = ["//visibility:public"],
)
""" % (repository_ctx.name, [attr.define] if here else [], attr.linkopts if here else []))

_optional_repository = repository_rule(
    implementation = _optional_repository_impl,
    local = True,
    # tools/setup changes it when it has installed one of them, so that they are looked for again.
    environ = ["WEIR_PEERS"],
    attrs = {
        "define": attr.string(doc = "Defined where the library is here."),
        "header": attr.string(doc = "What shows that it is."),
        "linkopts": attr.string_list(),
    },
    doc = "A library of the system that only the benchmarks use; where it is missing, an empty one.",
)

def _abseil_libraries(repository_ctx):
    for folder in _LIBRARY_FOLDERS:
        path = repository_ctx.path(folder)
        if not path.exists:
            continue
        names = [entry.basename for entry in path.readdir()]
        for suffix in [".so", ".a"]:
            found = [
                name[len("lib"):-len(suffix)]
                for name in names
                if name.startswith("libabsl_") and name.endswith(suffix) and name.find("test") < 0 and name.find("mock") < 0
            ]
            if found:
                return sorted(found)
    return []

def _abseil_repository_impl(repository_ctx):
    libraries = _abseil_libraries(repository_ctx)
    if not libraries or not repository_ctx.path("/usr/include/absl/status/statusor.h").exists:
        _missing(repository_ctx, "libabsl-dev")

    # The linker takes what a program uses: one target stands behind all labels.
    linkopts = ["-Wl,--push-state,--as-needed", "-Wl,--start-group"]
    linkopts += ["-l" + name for name in libraries]
    linkopts += ["-Wl,--end-group", "-Wl,--pop-state"]
    repository_ctx.file("BUILD.bazel", """cc_library(
    name = "absl",
    linkopts = %r,
    visibility = ["//:__subpackages__"],
)
""" % linkopts)
    for package, targets in ABSL_TARGETS.items():
        repository_ctx.file("absl/%s/BUILD.bazel" % package, "\n".join([
            'alias(name = "%s", actual = "//:absl", visibility = ["//visibility:public"])' % target
            for target in targets
        ]) + "\n")

_abseil_repository = repository_rule(
    implementation = _abseil_repository_impl,
    local = True,
    doc = "The system's Abseil under upstream's labels.",
)

def _unless_declared(name, rule, **attrs):
    if not native.existing_rule(name):
        rule(name = name, **attrs)

def _debian_shims():
    """What Debian's Bazel 4 asks for in every build, and would download."""
    _unless_declared(
        "rules_cc",
        _system_repository,
        files = {
            Label("//bazel/shims:rules_cc.BUILD"): "cc/BUILD.bazel",
            Label("//bazel/shims:rules_cc.bzl"): "cc/defs.bzl",
        },
    )
    _unless_declared(
        "rules_java",
        _system_repository,
        files = {
            Label("//bazel/shims:empty.BUILD"): "java/BUILD.bazel",
            Label("//bazel/shims:rules_java.bzl"): "java/defs.bzl",
        },
    )
    _unless_declared(
        "remote_coverage_tools",
        _system_repository,
        files = {Label("//bazel/shims:remote_coverage_tools.BUILD"): "BUILD.bazel"},
    )

def weir_repositories():
    """Declares what weir needs, each repository unless the workspace has it."""
    if not native.bazel_version:
        # Only Debian's own build of Bazel has no version.
        _debian_shims()

    _unless_declared("com_google_absl", _abseil_repository)
    for name, header, package in [
        ("hiredis", "/usr/include/hiredis/hiredis.h", "libhiredis-dev"),
        ("http_parser", "/usr/include/http_parser.h", "libhttp-parser-dev"),
        ("liburing", "/usr/include/liburing.h", "liburing-dev"),
        ("openssl", "/usr/include/openssl/evp.h", "libssl-dev"),
    ]:
        _unless_declared(
            name,
            _system_repository,
            files = {Label("//bazel/third_party:%s.BUILD" % name): "BUILD.bazel"},
            needs = [header],
            package = package,
        )
    _unless_declared(
        "com_google_googletest",
        _system_repository,
        files = {Label("//bazel/third_party:googletest.BUILD"): "BUILD.bazel"},
        links = {
            "/usr/src/googletest/googlemock": "googlemock",
            "/usr/src/googletest/googletest": "googletest",
        },
        needs = ["/usr/src/googletest/googletest/src/gtest-all.cc"],
        package = "googletest",
    )
    _unless_declared(
        "asio",
        _optional_repository,
        define = "WEIR_BENCH_ASIO",
        header = "/usr/include/asio.hpp",
    )
    _unless_declared(
        "libuv",
        _optional_repository,
        define = "WEIR_BENCH_LIBUV",
        header = "/usr/include/uv.h",
        linkopts = ["-luv"],
    )
