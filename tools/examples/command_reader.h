// Takes apart what clients of the key-value server send: Redis' protocol, or a command in a line of its own ("PING\r\n"),
// for people with a terminal; one after another, in any mixture.
//
//   reader.feed(block);
//   while (const CommandReader::Command* command = reader.next()) …
//
// hiredis' reader does the protocol; lines, which it does not know, are taken from its buffer.
#pragma once

#include <hiredis/hiredis.h>

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace examples {

class CommandReader {
 public:
  using Command = std::vector<absl::string_view>;

  CommandReader();

  void feed(absl::string_view bytes);

  // The next command that is whole, its name first, until the next call. An empty array is an empty command.
  // Null: more bytes are needed, or broken().
  const Command* next();

  // These bytes are no commands, or a line has no end.
  bool broken() const { return broken_; }

 private:
  static constexpr size_t kLineMax = 65'536;

  class FreeReader {
   public:
    void operator()(redisReader* reader) const { redisReaderFree(reader); }
  };
  class FreeReply {
   public:
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
  };

  using Reader = std::unique_ptr<redisReader, FreeReader>;

  bool next_line();
  void drop_lines();
  bool next_array();

  Reader reader_;
  std::unique_ptr<redisReply, FreeReply> array_;  // what the command's parts are in,
  std::string line_;                              // or this
  Command command_;
  bool in_array_ = false;  // the reader has begun one, and needs more bytes
  bool broken_ = false;
};

}  // namespace examples
