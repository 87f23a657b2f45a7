#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/time/time.h"
#include "weir/tools/examples/command_reader.h"
#include "weir/tools/examples/http_request.h"
#include "weir/tools/examples/key_value_store.h"

namespace examples {
namespace {

TEST(ParseRange, TakesOneRangeOfBytes) {
  const auto both = parse_range("bytes=2-5");
  ASSERT_TRUE(both);
  EXPECT_EQ(both->first, 2u);
  EXPECT_EQ(both->last, 5u);
  EXPECT_FALSE(parse_range("bytes=7-")->last);
  EXPECT_FALSE(parse_range("bytes=-7")->first);
  for (const char* ignored : {"", "bytes=-", "bytes=5", "bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes=a-b", "bytes=1-2x"}) {
    EXPECT_FALSE(parse_range(ignored)) << ignored;
  }
}

TEST(LocalPath, StaysInTheFolder) {
  EXPECT_EQ(local_path("/a%20b/c?query#part"), "/a b/c");
  EXPECT_EQ(local_path("/..a/b.."), "/..a/b..");
  for (const char* refused : {"", "a", "/..", "/a/../b", "/%2e%2e/b", "/%2", "/%zz", "/a%00b", "http://host/a"}) {
    EXPECT_FALSE(local_path(refused)) << refused;
  }
}

TEST(HttpRequestReader, ReadsPipelinedRequestsFromPieces) {
  const std::string text =
      "GET /one HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\n\r\n"
      "HEAD /two HTTP/1.1\r\nConnection: close\r\n\r\n";
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    HttpRequestReader reader;
    std::vector<HttpRequest> requests;
    for (size_t at = 0; at < text.size(); at += piece) {
      absl::string_view bytes = absl::string_view(text).substr(at, piece);
      while (auto request = reader.next(bytes)) requests.push_back(*std::move(request));
      ASSERT_FALSE(reader.broken()) << piece;
    }
    ASSERT_EQ(requests.size(), 2u) << piece;
    EXPECT_EQ(requests[0].url, "/one");
    EXPECT_EQ(requests[0].range, "bytes=0-1");
    EXPECT_TRUE(requests[0].keep_alive);
    EXPECT_FALSE(requests[0].head);
    EXPECT_EQ(requests[1].url, "/two");
    EXPECT_EQ(requests[1].range, "");
    EXPECT_TRUE(requests[1].head);
    EXPECT_FALSE(requests[1].keep_alive);
  }
}

TEST(HttpRequestReader, RefusesWhatIsNoHttp) {
  HttpRequestReader reader;
  absl::string_view bytes = "what is this\r\n\r\n";
  EXPECT_FALSE(reader.next(bytes));
  EXPECT_TRUE(reader.broken());
  HttpRequestReader other;
  const std::string long_url = "GET /" + std::string(100'000, 'a');
  bytes = long_url;
  EXPECT_FALSE(other.next(bytes));
  EXPECT_TRUE(other.broken());
}

TEST(CommandReader, ReadsArraysAndLinesFromPieces) {
  const std::string text =
      "*2\r\n$3\r\nget\r\n$5\r\n\r\na\r\n\r\n"
      "PING\r\n\r\n"
      "set  key\tvalue\n"
      "*1\r\n$0\r\n\r\n"
      "+OK\r\n"
      "*0\r\n";
  const std::vector<std::vector<std::string>> expected = {{"get", "\r\na\r\n"}, {"PING"}, {"set", "key", "value"}, {""}, {"+OK"}, {}};
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    CommandReader reader;
    std::vector<std::vector<std::string>> commands;
    for (size_t at = 0; at < text.size(); at += piece) {
      reader.feed(absl::string_view(text).substr(at, piece));
      while (const CommandReader::Command* command = reader.next()) commands.emplace_back(command->begin(), command->end());
      ASSERT_FALSE(reader.broken()) << piece;
    }
    EXPECT_EQ(commands, expected) << piece;
  }
}

TEST(CommandReader, ReadsOnWhereManyLinesWere) {
  std::string text;
  for (int i = 0; i < 5'000; ++i) text += "ECHO some text\r\n*1\r\n$4\r\nPING\r\nECHO more\n";
  for (const size_t piece : {size_t{7}, size_t{4096}, text.size()}) {
    CommandReader reader;
    std::vector<std::string> names;
    for (size_t at = 0; at < text.size(); at += piece) {
      reader.feed(absl::string_view(text).substr(at, piece));
      while (const CommandReader::Command* command = reader.next()) names.emplace_back(command->at(0));
      ASSERT_FALSE(reader.broken()) << piece;
    }
    ASSERT_EQ(names.size(), 15'000u) << piece;
    for (size_t i = 0; i < names.size(); ++i) ASSERT_EQ(names[i], i % 3 == 1 ? "PING" : "ECHO") << i;
  }
}

TEST(CommandReader, RefusesWhatIsNoCommand) {
  for (const std::string& text : {std::string("*x\r\n"), std::string(100'000, 'a'), std::string(100'000, 'a') + "\n"}) {
    CommandReader reader;
    reader.feed(text);
    EXPECT_EQ(reader.next(), nullptr);
    EXPECT_TRUE(reader.broken());
  }
}

class KeyValue : public ::testing::Test {
 protected:
  std::string run(const KeyValueStore::Command& command) {
    std::string answer;
    store.run(command, now, answer);
    return answer;
  }
  KeyValueStore store;
  absl::Time now = absl::UnixEpoch();
};

TEST_F(KeyValue, KeepsWhatWasSet) {
  EXPECT_EQ(run({"get", "a"}), "$-1\r\n");
  EXPECT_EQ(run({"set", "a", "one\r\n"}), "+OK\r\n");
  EXPECT_EQ(run({"GET", "a"}), "$5\r\none\r\n\r\n");
  EXPECT_EQ(run({"del", "a", "b", "a"}), ":1\r\n");
  EXPECT_EQ(run({"get", "a"}), "$-1\r\n");
}

TEST_F(KeyValue, Counts) {
  EXPECT_EQ(run({"incr", "n"}), ":1\r\n");
  EXPECT_EQ(run({"incr", "n"}), ":2\r\n");
  run({"set", "n", "9223372036854775807"});
  EXPECT_EQ(run({"incr", "n"}), "-ERR value is not an integer or out of range\r\n");
  run({"set", "n", "x"});
  EXPECT_EQ(run({"incr", "n"}), "-ERR value is not an integer or out of range\r\n");
}

TEST_F(KeyValue, Expires) {
  run({"set", "a", "1", "ex", "10"});
  run({"set", "b", "1"});
  EXPECT_EQ(run({"ttl", "a"}), ":10\r\n");
  EXPECT_EQ(run({"ttl", "b"}), ":-1\r\n");
  EXPECT_EQ(run({"expire", "b", "5"}), ":1\r\n");
  EXPECT_EQ(run({"expire", "c", "5"}), ":0\r\n");
  now += absl::Seconds(6);
  EXPECT_EQ(run({"get", "b"}), "$-1\r\n");
  EXPECT_EQ(run({"get", "a"}), "$1\r\n1\r\n");
  now += absl::Seconds(6);
  EXPECT_EQ(store.size(), 1u);
  store.expire(now, 10);
  EXPECT_EQ(store.size(), 0u);
}

TEST_F(KeyValue, ASetTakesTheDeadlineAway) {
  run({"set", "a", "1", "ex", "10"});
  run({"set", "a", "2"});
  now += absl::Seconds(11);
  store.expire(now, 10);
  EXPECT_EQ(run({"get", "a"}), "$1\r\n2\r\n");
}

TEST_F(KeyValue, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(run({"nope"}), "-ERR unknown command 'nope', or a wrong number of arguments\r\n");
  EXPECT_EQ(run({}), "-ERR unknown command '', or a wrong number of arguments\r\n");
  EXPECT_EQ(run({"set", "a", "1", "px", "1"}), "-ERR syntax error\r\n");
}

}  // namespace
}  // namespace examples
