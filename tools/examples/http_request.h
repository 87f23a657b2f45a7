// One HTTP/1.1 request after the other, out of the bytes of a connection; http-parser reads them.
#pragma once

#include <http_parser.h>

#include <cstdint>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace examples {

// "bytes=first-last" of a Range header. Without `first`, the last `last` bytes.
struct ByteRange {
  std::optional<uint64_t> first;
  std::optional<uint64_t> last;
};

// nullopt: no header, several ranges, or another unit, which a server may ignore.
std::optional<ByteRange> parse_range(absl::string_view header);

// The path of a URL, decoded, without its query; nullopt if it is malformed or leads out of the folder with "..".
std::optional<std::string> local_path(absl::string_view url);

struct HttpRequest {
  bool head = false;       // HEAD, else GET
  bool allowed = true;     // one of the two
  bool keep_alive = true;
  std::string url;
  std::string range;
};

class HttpRequestReader {
 public:
  HttpRequestReader();
  HttpRequestReader(const HttpRequestReader&) = delete;
  HttpRequestReader& operator=(const HttpRequestReader&) = delete;

  // Takes bytes off the front of `bytes` until a request is whole; nullopt: more bytes are needed, or broken().
  std::optional<HttpRequest> next(absl::string_view& bytes);

  bool broken() const { return broken_; }

 private:
  static constexpr size_t kTextMax = 8192;

  static HttpRequestReader& self(http_parser* parser) { return *static_cast<HttpRequestReader*>(parser->data); }
  static int append(std::string& text, const char* at, size_t length);

  http_parser parser_;
  http_parser_settings settings_;
  HttpRequest request_;
  std::string field_;   // the name of the header that is being read
  bool in_value_ = false;
  bool complete_ = false;
  bool broken_ = false;
};

}  // namespace examples
