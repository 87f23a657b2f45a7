// The tour, run as a user runs it: tools/tour, or the program that $TOUR names.
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <utility>

#include "subprocess.h"

namespace weir::tests {
namespace {

constexpr const char* kInput = "tests/tools/blockchain_input.py.txt";
constexpr const char* kExpected = "tests/tools/blockchain_expected.tsv";

std::vector<std::string> tour(std::vector<std::string> arguments) {
  const char* other = std::getenv("TOUR");
  arguments.insert(arguments.begin(), other != nullptr ? other : "tools/tour");
  return arguments;
}

// A file that is there as long as the test wants it.
class Scratch {
 public:
  explicit Scratch(const std::string& content) { std::ofstream(path, std::ios::binary) << content; }
  ~Scratch() { ::unlink(path.c_str()); }
  const std::string path = new_path("input");
};

class Fd {
 public:
  explicit Fd(int number) : number_(number) { EXPECT_GE(number, 0); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { close(); }
  void close() {
    if (number_ >= 0) ::close(std::exchange(number_, -1));
  }
  int number() const { return number_; }

 private:
  int number_;
};

class TestPipe {
 public:
  TestPipe() { EXPECT_EQ(::pipe2(ends_.data(), O_CLOEXEC), 0); }
  ~TestPipe() {
    ::close(ends_[0]);
    close_writer();
  }
  int reader() const { return ends_[0]; }
  void write(const std::string& text) { EXPECT_EQ(::write(ends_[1], text.data(), text.size()), static_cast<ssize_t>(text.size())); }
  void close_writer() {
    if (ends_[1] >= 0) ::close(std::exchange(ends_[1], -1));
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

// A socket on a port of the loopback interface.
class Port {
 public:
  Port() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(socket_.number(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(socket_.number(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    number_ = ntohs(address.sin_port);
  }
  std::string option() const { return "--connect=127.0.0.1:" + std::to_string(number_); }
  void listen() { EXPECT_EQ(::listen(socket_.number(), 16), 0); }
  int accept() { return ::accept4(socket_.number(), nullptr, nullptr, SOCK_CLOEXEC); }

 private:
  Fd socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  int number_ = 0;
};

// At most `limit` bytes, fewer only at the end.
std::string receive(int fd, std::size_t limit = std::string::npos) {
  std::string all;
  std::array<char, 4096> block;
  while (all.size() < limit) {
    const ssize_t count = ::read(fd, block.data(), std::min(block.size(), limit - all.size()));
    if (count <= 0) break;
    all.append(block.data(), static_cast<std::size_t>(count));
  }
  return all;
}

// What the tour sends for `input`, and that it succeeds with it.
std::string lines_of(const std::string& input, const std::string& path) {
  const std::string kept = new_path("lines");
  const Scratch file(input);
  Subprocess run(tour({"--output=" + kept, path.empty() ? file.path : path}));
  EXPECT_EQ(run.wait(), 0) << run.errors();
  EXPECT_NE(run.output().find("every digest is right"), std::string::npos) << run.output();
  EXPECT_EQ(run.errors(), "");
  std::string lines = read_whole(kept);
  ::unlink(kept.c_str());
  return lines;
}

// It fails with one line on standard error, which says `words`.
void expect_refusal(Subprocess& run, const std::string& words) {
  EXPECT_EQ(run.wait(), 1);
  const std::string errors = run.errors();
  EXPECT_EQ(errors.rfind("tour: ", 0), 0u) << errors;
  EXPECT_NE(errors.find(words), std::string::npos) << errors;
  EXPECT_EQ(errors.find('\n'), errors.size() - 1) << errors;
  EXPECT_EQ(run.output(), "");
}

void expect_refusal(const std::vector<std::string>& arguments, const std::string& words) {
  Subprocess run(tour(arguments));
  expect_refusal(run, words);
}

TEST(Tour, SendsTheGoldenLines) {
  const std::string expected = read_whole(kExpected);
  ASSERT_FALSE(expected.empty());
  EXPECT_EQ(lines_of("", kInput), expected);
}

TEST(Tour, SendsThemToAnyListener) {
  Port port;
  port.listen();
  Subprocess run(tour({port.option(), kInput}));
  Fd connection(port.accept());
  EXPECT_EQ(receive(connection.number()), read_whole(kExpected));
  connection.close();
  EXPECT_EQ(run.wait(), 0) << run.errors();
  EXPECT_NE(run.output().find("the reader closed its end"), std::string::npos) << run.output();
}

TEST(Tour, HasAnInputOfItsOwn) {
  Subprocess run(tour({}));
  EXPECT_EQ(run.wait(), 0) << run.errors();
  EXPECT_NE(run.output().find("every digest is right"), std::string::npos) << run.output();
}

TEST(Tour, TakesWhatIsNoText) {
  EXPECT_EQ(lines_of("", ""), "");
  EXPECT_EQ(lines_of("abc", ""), "900150983cd24fb0d6963f7d28e17f72\tabc");  // RFC 1321, A.5
  EXPECT_EQ(lines_of("\n", ""), "68b329da9893e34099c7d8ad5cb9c940\t\n");
  std::string bytes;
  for (int i = 0; i < 100'000; ++i) bytes += static_cast<char>(i * 7 % 251);
  const std::string lines = lines_of(bytes, "");
  EXPECT_EQ(lines.size(), bytes.size() + 33 * static_cast<std::size_t>(std::count(bytes.begin(), bytes.end(), '\n') + 1));
}

// Too long to be kept in memory: read twice.
TEST(Tour, TakesLongLines) {
  const std::string line(20 * 1024 * 1024, 'x');
  const std::string lines = lines_of(line + "\nend\n" + line, "");
  ASSERT_EQ(lines.size(), 2 * line.size() + 5 + 3 * 33);
  EXPECT_EQ(lines.compare(33, line.size(), line), 0);
  EXPECT_EQ(lines.substr(33 + line.size() + 1 + 33, 4), "end\n");
  EXPECT_EQ(lines.compare(lines.size() - line.size(), line.size(), line), 0);
}

TEST(Tour, ReadsAPipe) {
  TestPipe pipe;
  Subprocess run(tour({"-"}), pipe.reader());
  pipe.write("one\ntw");
  pipe.write("o");
  pipe.close_writer();
  EXPECT_EQ(run.wait(), 0) << run.errors();
  EXPECT_NE(run.output().find("standard input: 2 lines, 7 bytes"), std::string::npos) << run.output();
}

TEST(Tour, ReadsANamedPipe) {
  const std::string path = new_path("fifo");
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  Subprocess run(tour({path}));
  {
    const Fd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));  // waits until the tour has opened it
    EXPECT_EQ(::write(writer.number(), "one\ntwo\n", 8), 8);
  }
  EXPECT_EQ(run.wait(), 0) << run.errors();
  EXPECT_NE(run.output().find(": 2 lines, 8 bytes"), std::string::npos) << run.output();
  ::unlink(path.c_str());
}

TEST(Tour, RefusesWhatItCannotRead) {
  expect_refusal({"/nonexistent"}, "/nonexistent: No such file or directory");
  expect_refusal({"/etc"}, "/etc: Is a directory");
  expect_refusal({"/proc/self/mem"}, "/proc/self/mem: Input/output error");
  expect_refusal({kInput, "/nonexistent"}, "/nonexistent: No such file or directory");
}

TEST(Tour, RefusesAFileWithoutPermission) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may read every file";
  const Scratch file("secret\n");
  ::chmod(file.path.c_str(), 0);
  expect_refusal({file.path}, "Permission denied");
}

TEST(Tour, RefusesWhatItCannotWrite) {
  expect_refusal({"--output=/nonexistent/x", kInput}, "/nonexistent/x: No such file or directory");
  const Scratch file("precious\n");
  expect_refusal({"--output=" + file.path, file.path}, "is one of the inputs");
  EXPECT_EQ(read_whole(file.path), "precious\n");
}

TEST(Tour, RefusesWhomItCannotReach) {
  const Port nobody_listens;
  expect_refusal({nobody_listens.option(), kInput}, "Connection refused");
  expect_refusal({"--connect=nothing", kInput}, "wants HOST:PORT");
}

TEST(Tour, NoticesAReaderThatClosesEarly) {
  Port port;
  port.listen();
  Subprocess run(tour({port.option(), "/dev/urandom"}));
  {
    const Fd connection(port.accept());
    EXPECT_EQ(receive(connection.number(), 10).size(), 10u);
  }
  expect_refusal(run, "closed the connection early");
}

// The reader has nearly everything when it closes: there is no write that could fail.
TEST(Tour, NoticesAReaderThatClosesAtTheEnd) {
  Port port;
  port.listen();
  Subprocess run(tour({port.option(), kInput}));
  {
    const Fd connection(port.accept());
    const std::size_t all_but_one = read_whole(kExpected).size() - 1;
    EXPECT_EQ(receive(connection.number(), all_but_one).size(), all_but_one);
  }
  expect_refusal(run, "closed the connection early");
}

TEST(Tour, EndsBySignalWhileItsInputIsSilent) {
  for (const int signal : {SIGINT, SIGTERM}) {
    Port port;
    port.listen();
    TestPipe pipe;
    Subprocess run(tour({port.option(), "-"}), pipe.reader());
    pipe.write("abc");
    pipe.write("\n");
    const Fd connection(port.accept());
    EXPECT_EQ(receive(connection.number(), 33 + 4).substr(33), "abc\n");  // from now on it waits for the pipe
    run.signal(signal);
    EXPECT_EQ(run.wait(), 128 + signal);
    EXPECT_EQ(run.errors(), "");
    EXPECT_EQ(run.output(), "");
  }
}

TEST(Tour, EndsBySignalWhileItsReaderIsStuck) {
  Port port;
  port.listen();
  Subprocess run(tour({port.option(), "/dev/urandom"}));
  const Fd connection(port.accept());
  EXPECT_EQ(receive(connection.number(), 1).size(), 1u);
  run.signal(SIGINT);
  EXPECT_EQ(run.wait(), 128 + SIGINT);
  EXPECT_EQ(run.errors(), "");
}

}  // namespace
}  // namespace weir::tests
