#include "weir/tools/bench/services/services.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "weir/bridge/entrypoint.h"
#include "weir/tools/bench/report.h"
#include "weir/tools/bench/services/asyncio_tour.h"
#include "weir/tools/bench/services/load.h"
#include "weir/tools/bench/services/service.h"

namespace weir::bench {
namespace {

constexpr int kTurns = 3;
constexpr absl::Duration kLoadMax = absl::Seconds(60);

// A folder for files and configurations; gone at the end of the scope.
class Folder {
 public:
  Folder() {
    if (::mkdtemp(path_.data()) == nullptr) throw std::runtime_error(path_ + " cannot be made");
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ + "/" + name) << text;
    return path_ + "/" + name;
  }

 private:
  std::string path_ = std::filesystem::temp_directory_path().string() + "/weir-services-XXXXXX";
};

// A program of weir's, which is built beside this one.
std::string program(const std::string& name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / name).string();
}

// One of those that are compared.
class Candidate {
 public:
  using Command = std::function<std::vector<std::string>(uint16_t port)>;
  Candidate(std::string its_name, std::string its_path, Command its_command)
      : name(std::move(its_name)), path(std::move(its_path)), command(std::move(its_command)) {}
  std::string name;
  std::string path;
  Command command;  // starts it, at that port
};

// Asks a service; `parse` reads what it prints.
class LoadGenerator {
 public:
  using Command = std::function<std::vector<std::string>(uint16_t port)>;
  using Parse = std::optional<Load> (*)(absl::string_view output);
  LoadGenerator(Command its_command, Parse its_parse, double its_requests = NAN)
      : command(std::move(its_command)), parse(its_parse), requests(its_requests) {}
  Command command;
  Parse parse;
  double requests;  // if it does not tell them
};

class Sample {
 public:
  Load load;
  double cpu_us = 0;  // of the service, a request
};

bool is_there(const std::string& path) { return ::access(path.c_str(), X_OK) == 0; }
std::string left_out(const std::string& name, const std::string& path) {
  return absl::StrCat("    ", name, ": left out, there is no ", path, "; tools/setup --bench installs what is compared\n");
}

Task<Sample> ask(const Service& service, const LoadGenerator& generator) {
  const int64_t cpu = service.cpu_ns();
  std::vector<std::string> command = generator.command(service.port());
  const std::string output = co_await output_of(std::move(command), kLoadMax);
  const std::optional<Load> load = generator.parse(output);
  if (!load) throw std::runtime_error("the load generator met errors");
  Sample sample;
  sample.load = *load;
  const double requests = std::isnan(load->requests) ? generator.requests : load->requests;
  sample.cpu_us = static_cast<double>(service.cpu_ns() - cpu) / 1e3 / requests;
  co_return sample;
}

Sample middle(std::vector<Sample> samples) {
  std::ranges::sort(samples, {}, [](const Sample& sample) { return sample.load.rate; });
  return samples[samples.size() / 2];
}

std::string milliseconds(double us) { return std::isnan(us) ? "" : absl::StrFormat("%.2f ms", us / 1e3); }

Task<std::string> compare(std::string what, std::vector<Candidate> candidates, LoadGenerator generator) {
  std::string text = absl::StrFormat("\n%-54s %10s %11s %9s %9s\n", what, "requests/s", "CPU each", "p50", "p99");
  const std::string asks = generator.command(1)[0];
  if (!is_there(asks)) co_return text + left_out("load generator", asks);
  std::vector<std::pair<std::string, Service>> services;
  for (const Candidate& candidate : candidates) {
    if (!is_there(candidate.path)) {
      text += left_out(candidate.name, candidate.path);
      continue;
    }
    const uint16_t port = free_port();
    Service service = co_await Service::start(candidate.command(port), port);
    services.emplace_back(candidate.name, std::move(service));
  }
  std::vector<std::vector<Sample>> samples(services.size());
  for (int turn = 0; turn < kTurns; ++turn) {
    for (size_t i = 0; i < services.size(); ++i) {
      const size_t next = turn % 2 == 0 ? i : services.size() - 1 - i;  // nobody is always the first
      const Sample sample = co_await ask(services[next].second, generator);
      samples[next].push_back(sample);
    }
  }
  for (size_t i = 0; i < services.size(); ++i) {
    const Sample sample = middle(std::move(samples[i]));
    absl::StrAppendFormat(&text, "    %-50s %10.0f %8.2f us %9s %9s\n", services[i].first, sample.load.rate, sample.cpu_us,
                          milliseconds(sample.load.p50_us), milliseconds(sample.load.p99_us));
  }
  co_return text;
}

Task<std::string> compare_http(const Settings& settings) {
  const Folder folder;
  std::filesystem::create_directory(folder.path() + "/www");
  folder.write("www/file.txt", std::string(1024, 'x'));
  std::vector<Candidate> candidates;
  candidates.emplace_back("weir's http_files", program("http_files"), [&folder](uint16_t port) {
    return std::vector<std::string>{program("http_files"), absl::StrCat("--port=", port), folder.path() + "/www"};
  });
  const std::string nginx = "/usr/sbin/nginx";
  candidates.emplace_back("nginx, one worker", nginx, [&folder, nginx](uint16_t port) {
    const std::string configuration = absl::StrCat(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents { worker_connections 1024; }\n"
        "http {\n access_log off;\n keepalive_requests 1000000000;\n sendfile on;\n tcp_nodelay on;\n open_file_cache off;\n"
        " client_body_temp_path body;\n proxy_temp_path proxy;\n fastcgi_temp_path fastcgi;\n uwsgi_temp_path uwsgi;\n scgi_temp_path scgi;\n"
        " server { listen 127.0.0.1:", port, "; root ", folder.path(), "/www; }\n}\n");
    return std::vector<std::string>{nginx, "-p", folder.path(), "-e", "stderr", "-c", folder.write("nginx.conf", configuration)};
  });
  const std::string time = settings.quick ? "-d1s" : "-d2s";
  LoadGenerator wrk([time](uint16_t port) {
    return std::vector<std::string>{"/usr/bin/wrk", "-t1", "-c64", time, "--latency", absl::StrCat("http://127.0.0.1:", port, "/file.txt")};
  }, parse_wrk);
  co_return co_await compare("http, a file of 1 KiB, 64 connections", std::move(candidates), std::move(wrk));
}

Task<std::string> compare_key_value(const Settings& settings, int pipelined) {
  std::vector<Candidate> candidates;
  candidates.emplace_back("weir's key_value", program("key_value"), [](uint16_t port) {
    return std::vector<std::string>{program("key_value"), absl::StrCat("--port=", port)};
  });
  const std::string redis = "/usr/bin/redis-server";
  candidates.emplace_back("redis-server", redis, [redis](uint16_t port) {
    return std::vector<std::string>{redis, "--port", absl::StrCat(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"};
  });
  const int requests = (settings.quick ? 5'000 : 100'000) * (pipelined > 1 ? 5 : 1);
  LoadGenerator benchmark([requests, pipelined](uint16_t port) {
    return std::vector<std::string>{"/usr/bin/redis-benchmark", "-p", absl::StrCat(port), "-c", "50", "-n", absl::StrCat(requests),
                                    "-P", absl::StrCat(pipelined), "-t", "set", "-r", "10000", "--csv"};
  }, parse_redis_benchmark, requests);
  const std::string what = absl::StrCat("key-value, SET, 50 connections, ", pipelined, pipelined == 1 ? " request" : " requests", " in flight");
  co_return co_await compare(what, std::move(candidates), std::move(benchmark));
}

// CPU time of the child processes that have ended.
double childrens_cpu_s() {
  rusage usage;
  ::getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Task<std::string> compare_tours(const Settings& settings) {
  const int lines = settings.quick ? 5'000 : 300'000;
  const Folder folder;
  std::string input;
  for (int i = 0; i < lines; ++i) absl::StrAppend(&input, "line ", i, " of a text that somebody may have written\n");
  const std::string file = folder.write("input", input);
  std::string text = absl::StrFormat("\n%-54s %10s %11s\n", absl::StrCat("the tour, ", lines, " lines: thread, MD5, TCP, check"), "lines/s", "CPU each");
  const std::string python = "/usr/bin/python3";
  const std::vector<std::pair<std::string, std::vector<std::string>>> tours = {
      {"weir's tour", {program("tour"), file}}, {"Python, asyncio", {python, "-c", asyncio_tour(), file}}};
  for (const auto& [name, command] : tours) {
    if (!is_there(command[0])) {
      text += left_out(name, command[0]);
      continue;
    }
    std::vector<double> times, cpu_times;
    for (int turn = 0; turn < kTurns; ++turn) {
      const double cpu = childrens_cpu_s();
      const int64_t began = now_ns();
      (void)co_await output_of(command, kLoadMax);
      times.push_back(static_cast<double>(now_ns() - began) / 1e9);
      cpu_times.push_back(childrens_cpu_s() - cpu);
    }
    absl::StrAppendFormat(&text, "    %-50s %10.0f %8.2f us\n", name, lines / median_of(times).value, median_of(cpu_times).value / lines * 1e6);
  }
  co_return text;
}

Task<std::string> compare_all(const Settings& settings) {
  std::string text = machine() + "\n";
  const std::vector<std::function<Task<std::string>()>> comparisons = {
      [&settings] { return compare_http(settings); }, [&settings] { return compare_key_value(settings, 1); },
      [&settings] { return compare_key_value(settings, 16); }, [&settings] { return compare_tours(settings); }};
  for (const auto& comparison : comparisons) {
    try {
      text += co_await comparison();
    } catch (const std::exception& error) {
      absl::StrAppend(&text, "\nnot measured: ", error.what(), "\n");
    }
  }
  co_return text;
}

}  // namespace

std::string compare_services(const Settings& settings) { return run(compare_all(settings)); }

}  // namespace weir::bench
