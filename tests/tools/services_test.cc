// The two services, and real clients: curl, wrk, redis-cli, redis-benchmark.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "subprocess.h"

namespace weir::tests {
namespace {

// A service that listens at a port of its own, until the end of the scope.
class Service {
 public:
  explicit Service(std::vector<std::string> command) : process_(std::move(command)) {
    const timespec nap = {0, 1'000'000};
    while (process_.output().find('\n') == std::string::npos && process_.runs()) ::nanosleep(&nap, nullptr);
    const std::string line = process_.output();
    const size_t colon = line.rfind(':');
    if (colon != std::string::npos) port_ = std::to_string(std::atoi(line.c_str() + colon + 1));
    EXPECT_NE(port_, "") << line << process_.errors();
  }
  ~Service() {
    process_.signal(SIGTERM);
    EXPECT_EQ(process_.wait(), 128 + SIGTERM) << process_.errors();
    EXPECT_EQ(process_.errors(), "");
  }
  const std::string& port() const { return port_; }

 private:
  Subprocess process_;
  std::string port_;
};

// What a client prints; it ends with 0.
std::string output_of(std::vector<std::string> command) {
  Subprocess client(command);
  EXPECT_EQ(client.wait(), 0) << command[0] << ": " << client.errors();
  return client.output();
}

// A client with a socket of its own, to send as no proper client does.
class RawClient {
 public:
  explicit RawClient(const std::string& port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(std::stoi(port)));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    const int on = 1;
    EXPECT_EQ(::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { ::close(fd_); }

  // In pieces of so many bytes, each in a packet of its own.
  void send(const std::string& text, size_t piece) {
    for (size_t at = 0; at < text.size(); at += piece) {
      const std::string part = text.substr(at, piece);
      EXPECT_EQ(::send(fd_, part.data(), part.size(), MSG_NOSIGNAL), static_cast<ssize_t>(part.size()));
    }
  }
  void say_the_end() { EXPECT_EQ(::shutdown(fd_, SHUT_WR), 0); }
  void reset() {
    const linger at_once{1, 0};
    EXPECT_EQ(::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  }
  std::string read_to_the_end() {
    std::string text, block(65'536, '\0');
    for (ssize_t count; (count = ::recv(fd_, block.data(), block.size(), 0)) > 0;) text.append(block, 0, static_cast<size_t>(count));
    return text;
  }

 private:
  const int fd_;
};

std::string get(const std::string& path) { return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"; }

class HttpFiles : public ::testing::Test {
 protected:
  HttpFiles() : folder_(new_path("www")) {
    std::filesystem::create_directory(folder_);
    write("small.txt", "0123456789");
    write("empty", "");
    write("index.html", "<p>index</p>");
    for (int i = 0; i < 300'000; ++i) large_ += std::to_string(i * 7919L);
    write("large", large_);
    service_ = std::make_unique<Service>(std::vector<std::string>{"tools/http_files", "--port=0", folder_});
  }
  ~HttpFiles() override {
    service_.reset();
    std::filesystem::remove_all(folder_);
  }
  void write(const std::string& name, const std::string& text) { std::ofstream(folder_ + "/" + name) << text; }

  std::string url(const std::string& path) const { return "http://127.0.0.1:" + service_->port() + path; }
  std::string curl(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"/usr/bin/curl", "-sS", "--path-as-is"});
    return output_of(std::move(arguments));
  }
  std::string status_of(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"-o", "/dev/null", "-w", "%{http_code}"});
    return curl(std::move(arguments));
  }

  const std::string folder_;
  std::string large_;
  std::unique_ptr<Service> service_;
};

TEST_F(HttpFiles, GivesFiles) {
  EXPECT_EQ(curl({url("/small.txt")}), "0123456789");
  EXPECT_EQ(curl({url("/")}), "<p>index</p>");
  EXPECT_EQ(curl({url("/empty")}), "");
  EXPECT_TRUE(curl({url("/large")}) == large_);
}

TEST_F(HttpFiles, GivesRanges) {
  EXPECT_EQ(curl({"-r", "2-4", url("/small.txt")}), "234");
  EXPECT_EQ(curl({"-r", "-3", url("/small.txt")}), "789");
  EXPECT_EQ(curl({"-r", "8-", url("/small.txt")}), "89");
  EXPECT_TRUE(curl({"-r", "100000-900000", url("/large")}) == large_.substr(100'000, 800'001));
  EXPECT_NE(curl({"-i", "-r", "2-400", url("/small.txt")}).find("206 Partial Content"), std::string::npos);
  EXPECT_NE(curl({"-i", "-r", "2-400", url("/small.txt")}).find("Content-Range: bytes 2-9/10"), std::string::npos);
  EXPECT_EQ(status_of({"-r", "10-", url("/small.txt")}), "416");
}

TEST_F(HttpFiles, RefusesWhatItDoesNotHave) {
  EXPECT_EQ(status_of({url("/nothing")}), "404");
  EXPECT_EQ(status_of({url("/../secret")}), "400");
  EXPECT_EQ(status_of({url("/%2e%2e/secret")}), "400");
  EXPECT_EQ(status_of({"-X", "DELETE", url("/small.txt")}), "405");
}

TEST_F(HttpFiles, HeadSendsNoBody) {
  const std::string answer = curl({"-I", url("/small.txt")});
  EXPECT_NE(answer.find("Content-Length: 10"), std::string::npos);
  EXPECT_EQ(answer.find("0123456789"), std::string::npos);
}

TEST_F(HttpFiles, KeepsConnections) {
  const std::string connects = curl({url("/small.txt"), url("/nothing"), url("/large"), "-o", "/dev/null", "-o", "/dev/null", "-o",
                                     "/dev/null", "-w", "%{num_connects}"});
  EXPECT_EQ(connects, "100");  // one, and twice none
}

TEST_F(HttpFiles, StandsALoad) {
  const std::string report = output_of({"/usr/bin/wrk", "-t1", "-c64", "-d1", url("/small.txt")});
  EXPECT_NE(report.find("requests in"), std::string::npos) << report;
  EXPECT_EQ(report.find("Socket errors"), std::string::npos) << report;
  EXPECT_EQ(report.find("Non-2xx"), std::string::npos) << report;
}

TEST_F(HttpFiles, AnswersWhoSendsByteByByteAndSaysTheEnd) {
  RawClient client(service_->port());
  client.send(get("/small.txt"), 1);
  client.say_the_end();
  const std::string answer = client.read_to_the_end();
  EXPECT_EQ(answer.find("HTTP/1.1 200 OK\r\n"), 0u);
  EXPECT_EQ(answer.substr(answer.find("\r\n\r\n")), "\r\n\r\n0123456789");
}

// What the client has not taken is neither lost nor does it hold others up; nor do those that go amidst it.
TEST_F(HttpFiles, AClientThatTakesNothingHoldsNobodyUp) {
  RawClient slow(service_->port());
  slow.send(get("/large") + get("/large") + get("/large"), 10'000);
  slow.say_the_end();
  for (int i = 0; i < 20; ++i) {
    RawClient gone(service_->port());
    gone.send(get("/large").substr(0, static_cast<size_t>(10 + 3 * i)), 5);
    if (i % 2 == 0) gone.reset();
  }
  EXPECT_EQ(curl({url("/small.txt")}), "0123456789");
  std::string answers = slow.read_to_the_end();
  for (int i = 0; i < 3; ++i) {
    const size_t begin = answers.find("\r\n\r\n");
    ASSERT_NE(begin, std::string::npos) << i;
    EXPECT_TRUE(answers.substr(begin + 4, large_.size()) == large_) << i;
    answers.erase(0, begin + 4 + large_.size());
  }
  EXPECT_EQ(answers, "");
}

class KeyValueServer : public ::testing::Test {
 protected:
  KeyValueServer() : service_({"tools/key_value", "--port=0"}) {}
  std::string redis(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"/usr/bin/redis-cli", "-p", service_.port()});
    return output_of(std::move(arguments));
  }
  Service service_;
};

TEST_F(KeyValueServer, AnswersACli) {
  EXPECT_EQ(redis({"ping"}), "PONG\n");
  EXPECT_EQ(redis({"set", "greeting", "hello world"}), "OK\n");
  EXPECT_EQ(redis({"get", "greeting"}), "hello world\n");
  EXPECT_EQ(redis({"incr", "n"}), "1\n");
  EXPECT_EQ(redis({"incr", "n"}), "2\n");
  EXPECT_EQ(redis({"expire", "n", "100"}), "1\n");
  EXPECT_EQ(redis({"del", "greeting", "n", "x"}), "2\n");
  EXPECT_EQ(redis({"get", "greeting"}), "\n");
}

TEST_F(KeyValueServer, TakesLinesToo) {
  const std::string commands = "set a 1\r\n\r\nGET a\n*1\r\n$4\r\nPING\r\nnope\r\n";
  for (const size_t piece : {1, 7, 1000}) {
    RawClient client(service_.port());
    client.send(commands, piece);
    client.say_the_end();
    EXPECT_EQ(client.read_to_the_end(), "+OK\r\n$1\r\n1\r\n+PONG\r\n-ERR unknown command 'nope', or a wrong number of arguments\r\n");
  }
}

TEST_F(KeyValueServer, EndsAConnectionThatSendsNoCommands) {
  RawClient client(service_.port());
  client.send("PING\r\n*x\r\n", 100);
  EXPECT_EQ(client.read_to_the_end(), "+PONG\r\n-ERR Protocol error\r\n");
  EXPECT_EQ(redis({"ping"}), "PONG\n");
}

TEST_F(KeyValueServer, StandsABenchmarkWithAndWithoutPipelining) {
  for (const char* depth : {"1", "16"}) {
    const std::string report = output_of(
        {"/usr/bin/redis-benchmark", "-p", service_.port(), "-t", "ping_inline,set,get,incr", "-n", "5000", "-P", depth, "--csv"});
    for (const char* test : {"\"PING_INLINE\"", "\"SET\"", "\"GET\"", "\"INCR\""}) EXPECT_NE(report.find(test), std::string::npos) << report;
    EXPECT_EQ(report.find("rror"), std::string::npos) << report;
  }
}

}  // namespace
}  // namespace weir::tests
