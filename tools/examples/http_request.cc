#include "weir/tools/examples/http_request.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace examples {

std::optional<ByteRange> parse_range(absl::string_view header) {
  if (!absl::ConsumePrefix(&header, "bytes=") || absl::StrContains(header, ',')) return std::nullopt;
  const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(header, absl::MaxSplits('-', 1));
  const auto number = [](absl::string_view text, std::optional<uint64_t>& out) {
    uint64_t value = 0;
    if (!absl::SimpleAtoi(text, &value)) return text.empty();
    out = value;
    return true;
  };
  ByteRange range;
  if (!absl::StrContains(header, '-') || !number(ends.first, range.first) || !number(ends.second, range.last)) return std::nullopt;
  if (!range.first && !range.last) return std::nullopt;
  if (range.first && range.last && *range.last < *range.first) return std::nullopt;
  return range;
}

std::optional<std::string> local_path(absl::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  if (!absl::StartsWith(url, "/")) return std::nullopt;
  std::string path;
  for (size_t i = 0; i < url.size(); ++i) {
    if (url[i] != '%') {
      path.push_back(url[i]);
      continue;
    }
    const absl::string_view digits = url.substr(i + 1, 2);
    if (digits.size() != 2 || !absl::ascii_isxdigit(digits[0]) || !absl::ascii_isxdigit(digits[1])) return std::nullopt;
    path.push_back(static_cast<char>(std::stoi(std::string(digits), nullptr, 16)));
    i += 2;
  }
  if (absl::StrContains(path, '\0')) return std::nullopt;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part == "..") return std::nullopt;
  }
  return path;
}

HttpRequestReader::HttpRequestReader() {
  http_parser_init(&parser_, HTTP_REQUEST);
  parser_.data = this;
  http_parser_settings_init(&settings_);
  settings_.on_message_begin = [](http_parser* parser) {
    self(parser).request_ = HttpRequest();
    return 0;
  };
  settings_.on_url = [](http_parser* parser, const char* at, size_t length) {
    return append(self(parser).request_.url, at, length);
  };
  settings_.on_header_field = [](http_parser* parser, const char* at, size_t length) {
    HttpRequestReader& reader = self(parser);
    if (std::exchange(reader.in_value_, false)) reader.field_.clear();
    return append(reader.field_, at, length);
  };
  settings_.on_header_value = [](http_parser* parser, const char* at, size_t length) {
    HttpRequestReader& reader = self(parser);
    reader.in_value_ = true;
    return absl::EqualsIgnoreCase(reader.field_, "range") ? append(reader.request_.range, at, length) : 0;
  };
  settings_.on_message_complete = [](http_parser* parser) {
    HttpRequestReader& reader = self(parser);
    reader.complete_ = true;
    reader.field_.clear();
    reader.request_.head = parser->method == HTTP_HEAD;
    reader.request_.allowed = parser->method == HTTP_GET || parser->method == HTTP_HEAD;
    reader.request_.keep_alive = http_should_keep_alive(parser) != 0;
    http_parser_pause(parser, 1);  // what follows is the next request's
    return 0;
  };
}

int HttpRequestReader::append(std::string& text, const char* at, size_t length) {
  if (text.size() + length > kTextMax) return 1;
  text.append(at, length);
  return 0;
}

std::optional<HttpRequest> HttpRequestReader::next(absl::string_view& bytes) {
  if (broken_ || bytes.empty()) return std::nullopt;
  bytes.remove_prefix(http_parser_execute(&parser_, &settings_, bytes.data(), bytes.size()));
  if (!std::exchange(complete_, false)) {
    broken_ = HTTP_PARSER_ERRNO(&parser_) != HPE_OK || parser_.upgrade;
    return std::nullopt;
  }
  http_parser_pause(&parser_, 0);
  return std::move(request_);
}

}  // namespace examples
