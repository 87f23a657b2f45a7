#include "weir/tools/examples/command_reader.h"

#include <utility>

#include "absl/strings/str_split.h"

namespace examples {

CommandReader::CommandReader() : reader_(redisReaderCreate()) {}

void CommandReader::feed(absl::string_view bytes) { broken_ |= redisReaderFeed(reader_.get(), bytes.data(), bytes.size()) != REDIS_OK; }

const CommandReader::Command* CommandReader::next() {
  while (!broken_ && (in_array_ || reader_->pos < reader_->len)) {
    const bool line = !in_array_ && reader_->buf[reader_->pos] != '*';
    if (!(line ? next_line() : next_array())) return nullptr;
    if (!line || !command_.empty()) return &command_;  // an empty line is none
  }
  return nullptr;
}

bool CommandReader::next_line() {
  const absl::string_view rest(reader_->buf + reader_->pos, reader_->len - reader_->pos);
  const size_t size = rest.find('\n');
  broken_ = size == rest.npos ? rest.size() > kLineMax : size > kLineMax;
  if (broken_ || size == rest.npos) return false;
  line_ = std::string(rest.substr(0, size));
  reader_->pos += size + 1;
  if (reader_->pos > kLineMax) drop_lines();
  command_ = absl::StrSplit(line_, absl::ByAnyChar(" \t\r"), absl::SkipEmpty());
  return true;
}

// The reader forgets what its own arrays took of the buffer, not what lines took: another one goes on with the rest.
void CommandReader::drop_lines() {
  Reader next(redisReaderCreate());
  broken_ |= redisReaderFeed(next.get(), reader_->buf + reader_->pos, reader_->len - reader_->pos) != REDIS_OK;
  reader_ = std::move(next);
}

bool CommandReader::next_array() {
  void* reply = nullptr;
  broken_ = redisReaderGetReply(reader_.get(), &reply) != REDIS_OK;
  in_array_ = reply == nullptr;
  if (in_array_) return false;
  array_.reset(static_cast<redisReply*>(reply));
  command_.clear();
  if (array_->type != REDIS_REPLY_ARRAY) return true;  // the null array
  for (size_t i = 0; i < array_->elements; ++i) command_.emplace_back(array_->element[i]->str, array_->element[i]->len);
  return true;
}

}  // namespace examples
