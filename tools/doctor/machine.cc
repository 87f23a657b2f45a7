#include "weir/tools/doctor/machine.h"

#include <sys/resource.h>
#include <sys/utsname.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"

namespace doctor {
namespace {

constexpr uint64_t kEnoughMemlock = 8 << 20;
constexpr uint64_t kEnoughDescriptors = 16'384;

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// The value behind "Seccomp:" and the like in /proc/self/status.
std::string status_field(const std::string& name) {
  std::ifstream file("/proc/self/status");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name + ":", 0) == 0) return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  }
  return {};
}

Finding kernel() {
  utsname name;
  if (::uname(&name) != 0) return {"kernel", Verdict::kGap, "unknown"};
  int major = 0;
  int minor = 0;
  std::sscanf(name.release, "%d.%d", &major, &minor);
  const std::string found = absl::StrCat("Linux ", name.release, ", ", name.machine);
  if (major < 5 || (major == 5 && minor < 15)) {
    return {"kernel", Verdict::kBroken, found, {}, "weir needs Linux 5.15 or later"};
  }
  if (major < 6 || (major == 6 && minor < 1)) {
    return {"kernel", Verdict::kGap, found, "it works without deferred task work: a few percent slower", "Linux 6.1 or later"};
  }
  return {"kernel", Verdict::kFine, found};
}

Finding sysctl() {
  const std::string value = first_line("/proc/sys/kernel/io_uring_disabled");
  const std::string found = absl::StrCat("kernel.io_uring_disabled = ", value);
  if (value.empty()) return {"sysctl", Verdict::kFine, "no kernel.io_uring_disabled: io_uring is on"};
  if (value == "0") return {"sysctl", Verdict::kFine, found};
  const std::string cure = "sysctl -w kernel.io_uring_disabled=0";
  if (value == "1") {
    return {"sysctl", Verdict::kGap, found, "only CAP_SYS_ADMIN and the group of kernel.io_uring_group may open a ring",
            absl::StrCat(cure, ", or join group ", first_line("/proc/sys/kernel/io_uring_group"))};
  }
  return {"sysctl", Verdict::kBroken, found, {}, cure};
}

Finding seccomp() {
  const std::string mode = status_field("Seccomp");
  if (mode != "2") return {"seccomp", Verdict::kFine, "no filter"};
  return {"seccomp", Verdict::kFine,
          absl::StrCat(status_field("Seccomp_filters").empty() ? "a filter" : status_field("Seccomp_filters") + " filters",
                       "; what they let through is tried below")};
}

std::string bytes(uint64_t count) {
  if (count % (1 << 20) == 0) return absl::StrCat(count >> 20, " MiB");
  return absl::StrCat(count >> 10, " KiB");
}

Finding memlock() {
  rlimit limit;
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) {
    return {"memlock limit", Verdict::kFine, "unlimited"};
  }
  if (limit.rlim_cur >= kEnoughMemlock) return {"memlock limit", Verdict::kFine, bytes(limit.rlim_cur)};
  return {"memlock limit", Verdict::kGap, bytes(limit.rlim_cur),
          "registered buffers beyond it are used unregistered; before Linux 5.12 rings count, too, and get shorter queues",
          "ulimit -l unlimited; LimitMEMLOCK=infinity of systemd; --ulimit memlock=-1 of docker"};
}

Finding descriptors() {
  rlimit limit;
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return {"open files", Verdict::kGap, "unknown"};
  const std::string found = absl::StrCat(limit.rlim_cur, " (at most ", limit.rlim_max, ")");
  if (limit.rlim_cur >= kEnoughDescriptors) return {"open files", Verdict::kFine, found};
  return {"open files", Verdict::kGap, found, "serve() waits for free descriptors, and connections in the backlog",
          "ulimit -n 65536; LimitNOFILE=65536 of systemd"};
}

}  // namespace

Findings look_at_machine() { return {kernel(), sysctl(), seccomp(), memlock(), descriptors()}; }

}  // namespace doctor
