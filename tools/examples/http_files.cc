// An HTTP/1.1 server for the files of a folder: GET and HEAD, keep-alive, pipelining, ranges.
//
//   bazel run //tools:http_files -- --port=8080 /usr/share/doc
//   curl -r 0-99 http://127.0.0.1:8080/bash/README
//
// One task a connection. Requests come in blocks that the kernel picks (receive()); a file is read into a block of the
// connection and written from there, its first piece together with the header. A connection that says nothing, or takes
// nothing, for a minute is closed. Ctrl-C ends it, once the answers under way are cancelled.
#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <utility>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "weir/tools/examples/http_request.h"
#include "weir/weir.h"

ABSL_FLAG(std::string, listen, "127.0.0.1", "the address to listen at");
ABSL_FLAG(uint16_t, port, 8080, "the port; 0: any free one, which is printed");

namespace examples {
namespace {

constexpr size_t kPieceBytes = 128 * 1024;
constexpr absl::Duration kIdleMax = absl::Minutes(1);

absl::string_view content_type(absl::string_view path) {
  constexpr std::array<std::array<absl::string_view, 2>, 9> kTypes = {{{".html", "text/html; charset=utf-8"},
                                                                      {".css", "text/css"},
                                                                      {".js", "text/javascript"},
                                                                      {".json", "application/json"},
                                                                      {".svg", "image/svg+xml"},
                                                                      {".png", "image/png"},
                                                                      {".jpg", "image/jpeg"},
                                                                      {".pdf", "application/pdf"},
                                                                      {".txt", "text/plain; charset=utf-8"}}};
  for (const auto& [ending, type] : kTypes) {
    if (absl::EndsWith(path, ending)) return type;
  }
  return "application/octet-stream";
}

// The bytes of a file that are asked for.
struct Part {
  uint64_t begin = 0;
  uint64_t end = 0;
};

// False: none of them is in the file.
bool cut(const ByteRange& range, uint64_t size, Part& part) {
  if (!range.first) {
    part = {size - std::min(size, *range.last), size};
  } else {
    part = {*range.first, range.last && *range.last < size ? *range.last + 1 : size};
  }
  return part.begin < part.end;
}

class Connection {
 public:
  Connection(weir::TcpStream stream, const std::string& folder) : stream_(std::move(stream)), folder_(folder) {}

  weir::Task<> serve() {
    HttpRequestReader reader;
    for (;;) {
      const absl::StatusOr<weir::Buffer> block = co_await weir::timeout(kIdleMax, stream_.receive());
      if (!block.ok() || block->empty()) co_return;  // gone, or silent
      absl::string_view bytes(reinterpret_cast<const char*>(block->data()), block->size());
      while (std::optional<HttpRequest> request = reader.next(bytes)) {
        const absl::Status answered = co_await answer(*request);
        if (!answered.ok() || !request->keep_alive) co_return;
      }
      if (reader.broken()) {
        HttpRequest unknown;
        unknown.keep_alive = false;
        (void)co_await say(unknown, "400 Bad Request");
        co_return;
      }
    }
  }

 private:
  weir::Task<absl::Status> answer(const HttpRequest& request) {
    if (!request.allowed) co_return co_await say(request, "405 Method Not Allowed", "Allow: GET, HEAD\r\n");
    const std::optional<std::string> path = local_path(request.url);
    if (!path) co_return co_await say(request, "400 Bad Request");
    std::string name = folder_ + *path;
    if (absl::EndsWith(name, "/")) name += "index.html";
    absl::StatusOr<weir::File> file = co_await weir::File::open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (!file.ok()) co_return co_await say(request, absl::IsPermissionDenied(file.status()) ? "403 Forbidden" : "404 Not Found");
    const auto stat = co_await file->stat();
    if (!stat.ok() || !stat->is_file()) co_return co_await say(request, "404 Not Found");
    const std::optional<ByteRange> range = parse_range(request.range);
    Part part{0, stat->size()};
    if (range && !cut(*range, stat->size(), part)) {
      co_return co_await say(request, "416 Range Not Satisfiable", absl::StrCat("Content-Range: bytes */", stat->size(), "\r\n"));
    }
    std::string header = head(request, range ? "206 Partial Content" : "200 OK", part.end - part.begin);
    absl::StrAppend(&header, "Content-Type: ", content_type(name), "\r\nAccept-Ranges: bytes\r\n");
    if (range) absl::StrAppend(&header, "Content-Range: bytes ", part.begin, "-", part.end - 1, "/", stat->size(), "\r\n");
    header += "\r\n";
    if (request.head) part.end = part.begin;
    co_return co_await send(*file, std::move(header), part);
  }

  // The header, and the part of the file behind it, a piece at a time.
  weir::Task<absl::Status> send(weir::File& file, std::string header, Part part) {
    piece_.resize(std::min<uint64_t>(kPieceBytes, part.end - part.begin));
    do {
      absl::Span<std::byte> bytes = weir::writable_bytes(piece_);
      bytes = bytes.subspan(0, std::min<uint64_t>(bytes.size(), part.end - part.begin));
      const absl::Status read = co_await file.read_exact_at(bytes, part.begin);
      if (!read.ok()) co_return read;  // it has shrunk: only the end of the connection can say so now
      part.begin += bytes.size();
      const std::array<absl::Span<const std::byte>, 2> parts{weir::as_bytes(header), bytes};
      const absl::Status written = co_await weir::timeout(kIdleMax, stream_.write_all(parts));
      if (!written.ok()) co_return written;
      header.clear();
    } while (part.begin < part.end);
    co_return absl::OkStatus();
  }

  // An answer of one line.
  weir::Task<absl::Status> say(const HttpRequest& request, absl::string_view status, absl::string_view more = "") {
    const std::string text = absl::StrCat(status, "\n");
    std::string answer = head(request, status, text.size());
    absl::StrAppend(&answer, "Content-Type: text/plain\r\n", more, "\r\n");
    if (!request.head) answer += text;
    co_return co_await weir::timeout(kIdleMax, stream_.write_all(weir::as_bytes(answer)));
  }

  static std::string head(const HttpRequest& request, absl::string_view status, uint64_t length) {
    return absl::StrCat("HTTP/1.1 ", status, "\r\nContent-Length: ", length,
                        request.keep_alive ? "\r\n" : "\r\nConnection: close\r\n");
  }

  weir::TcpStream stream_;
  const std::string& folder_;
  std::string piece_;
};

weir::Task<int> run(std::string folder, std::string address) {
  const absl::StatusOr<weir::SocketAddress> where = weir::SocketAddress::parse(address);
  absl::StatusOr<weir::TcpListener> listener = where.ok() ? weir::TcpListener::bind(*where) : where.status();
  if (!listener.ok()) {
    std::fprintf(stderr, "http_files: %s\n", std::string(listener.status().message()).c_str());
    co_return 1;
  }
  std::printf("http_files: %s at http://%s/\n", folder.c_str(), listener->local_address().to_string().c_str());
  std::fflush(stdout);
  const auto handler = [&folder](weir::TcpStream stream) -> weir::Task<> {
    (void)co_await stream.set_no_delay();
    Connection connection(std::move(stream), folder);
    co_await connection.serve();
  };
  const absl::Status status = co_await weir::serve(*listener, handler);
  std::fprintf(stderr, "http_files: %s\n", std::string(status.message()).c_str());
  co_return 1;
}

}  // namespace
}  // namespace examples

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("serves the files of a folder over HTTP/1.1.\nusage: http_files [--listen=ADDRESS] [--port=PORT] [FOLDER]");
  const std::vector<char*> arguments = absl::ParseCommandLine(argc, argv);
  const std::string folder = arguments.size() > 1 ? arguments[1] : ".";
  const std::string address = absl::GetFlag(FLAGS_listen);
  const bool ipv6 = address.find(':') != std::string::npos;
  return weir::entrypoint(examples::run(folder, absl::StrCat(ipv6 ? "[" : "", address, ipv6 ? "]:" : ":", absl::GetFlag(FLAGS_port))));
}
