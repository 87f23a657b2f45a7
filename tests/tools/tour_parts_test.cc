#include <gtest/gtest.h>

#include <string>

#include "weir/tools/tour/checker.h"
#include "weir/tools/tour/md5_chain.h"
#include "weir/tools/tour/progress.h"

namespace tour {
namespace {

std::string chained(std::string_view first, std::string_view second) {
  Md5Chain chain;
  std::string text;
  for (std::string_view line : {first, second}) {
    chain.add(line);
    text.append(as_text(chain.digest())).append("\t").append(line);
  }
  return text;
}

std::string summary_of(std::string_view text) {
  Checker checker;
  checker.take(text);
  return checker.finish();
}

TEST(Md5Chain, CoversAllThatWasAdded) {
  Md5Chain chain;
  EXPECT_EQ(as_text(chain.digest()), "d41d8cd98f00b204e9800998ecf8427e");  // RFC 1321, A.5
  chain.add("a");
  EXPECT_EQ(as_text(chain.digest()), "0cc175b9c0f1b6a831c399e269772661");
  chain.add("bc");
  EXPECT_EQ(as_text(chain.digest()), "900150983cd24fb0d6963f7d28e17f72");
}

TEST(Checker, AcceptsBlocksOfAnySize) {
  const std::string text = chained("one\n", "two");
  EXPECT_EQ(summary_of(text), "2 lines, 73 bytes: every digest is right");
  Checker checker;
  for (const char& byte : text) checker.take(std::string_view(&byte, 1));
  EXPECT_EQ(checker.finish(), "2 lines, 73 bytes: every digest is right");
  EXPECT_EQ(summary_of(""), "0 lines, 0 bytes: every digest is right");
}

TEST(Checker, FindsEveryByteThatIsWrong) {
  const std::string text = chained("one\n", "two\n");
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::string wrong = text;
    wrong[at] = static_cast<char>(wrong[at] ^ 1);
    EXPECT_FALSE(Checker::is_success(summary_of(wrong))) << at;
  }
}

TEST(Checker, FindsAnEndThatComesTooSoon) {
  const std::string text = chained("one\n", "two\n");
  const std::size_t first_line = 33 + 4;
  for (std::size_t size = 1; size < text.size(); ++size) {
    if (size != first_line) {
      EXPECT_FALSE(Checker::is_success(summary_of(text.substr(0, size)))) << size;
    }
  }
  EXPECT_EQ(summary_of(text.substr(0, first_line)), "1 line, 37 bytes: every digest is right");
}

TEST(Numbers, AreReadable) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(1'234'567), "1,234,567");
  EXPECT_EQ(bytes_in_words(12), "12 bytes");
  EXPECT_EQ(bytes_in_words(1'234'567), "1.2 MB");
}

}  // namespace
}  // namespace tour
