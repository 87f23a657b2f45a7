// 001, "Working With Synchronous Generators": leaving early, and backpressure.
#include "weir/tools/examples/example.h"

#include "absl/time/clock.h"
#include "weir/weir.h"

namespace {

using examples::check;
using examples::print;
using examples::seconds;

namespace crawl {  // 001-9

struct Item {
  int id = 0;
  std::string type = "";
};

struct Page {
  std::vector<Item> items;
  int total_pages = 0;
};

const std::map<int, Page> kPages{
    {1, {{{1}, {2}}, 3}},
    {2, {{{3}, {4, "target_item"}}, 3}},
    {3, {{{5}, {6}}, 3}},
};

Page fetch_page(const std::string& url) {
  absl::SleepFor(seconds(0.01));  // stands for a blocking request
  const auto found = kPages.find(std::stoi(url.substr(url.find('=') + 1)));
  return found == kPages.end() ? Page() : found->second;
}

weir::Generator<Item> crawl(std::string base_url, int start_page) {
  for (int page = start_page;; ++page) {
    const Page data = fetch_page(base_url + "?page=" + std::to_string(page));
    for (const Item& item : data.items) co_yield item;
    if (page >= data.total_pages) co_return;
  }
}

// One item ahead. A larger max_size reads further ahead.
const auto crawl_api_pages = weir::threaded_iterable(crawl, {.max_size = 1});

weir::Task<> main() {
  int processed_count = 0;
  auto items = crawl_api_pages("https://api.example.com/data", 1);
  while (auto item = co_await items.next()) {
    ++processed_count;
    if (item->type == "target_item") break;
  }
  co_await items.close();  // no request is made after this
  check(processed_count == 4);
  print(processed_count);
}

}  // namespace crawl

namespace scrape {  // 001-11

struct Result {
  std::string title;
  std::string url;
  std::string snippet;
  int page = 0;
};

std::vector<Result> fetch_search_page(const std::string& query, int page) {
  absl::SleepFor(seconds(0.01));
  std::vector<Result> results;
  if (page > 3) return results;
  for (int i = (page - 1) * 2; i < page * 2; ++i) {
    const std::string number = std::to_string(i);
    results.push_back({"Result " + number, "http://example.com/" + number, query + " snippet", page});
  }
  return results;
}

weir::Generator<Result> scrape(std::string query, int max_pages) {
  for (int page = 1; page <= max_pages; ++page) {
    const std::vector<Result> results = fetch_search_page(query, page);
    if (results.empty()) co_return;
    for (const Result& result : results) co_yield result;
  }
}

// However slow the reader is, at most 50 results wait.
const auto scrape_search_results = weir::threaded_iterable(scrape, {.max_size = 50});

weir::Task<> main() {
  int processed = 0;
  auto results = scrape_search_results("python asyncio", 100);
  while (auto result = co_await results.next()) {
    print(result->title, result->url);
    if (++processed >= 4) break;
  }
  co_await results.close();  // no more scraping
  check(processed == 4);
}

}  // namespace scrape

namespace context_manager {  // 001-12

struct User {
  std::string name;
  std::string role;
};

const std::vector<std::vector<User>> kUsers{
    {{"Alice", "user"}, {"Bob", "user"}},
    {{"Charlie", "admin"}},
};

// What a generator holds is released when it ends, or is left: C++'s `finally`.
class Session {
 public:
  static inline bool closed = false;
  Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { closed = true; }
};

weir::Generator<User> fetch(std::string /*endpoint*/) {
  const Session session;
  for (const std::vector<User>& page : kUsers) {
    absl::SleepFor(seconds(0.01));
    for (const User& record : page) co_yield record;
  }
}

const auto fetch_paginated_data = weir::threaded_iterable(fetch);

weir::Task<int> count_until_admin(weir::IteratorWrapper<User>& users) {
  int count = 0;
  while (auto user = co_await users.next()) {
    ++count;
    if (user->role == "admin") break;
  }
  co_return count;
}

weir::Task<> main() {
  const int count = co_await weir::with(fetch_paginated_data("/api/users"), count_until_admin);
  check(count == 3);
  check(Session::closed);  // with() has waited for it
  print(count, Session::closed);
}

}  // namespace context_manager

}  // namespace

examples::Section examples::generators_001() {
  static constexpr Example kAll[] = {
      {"001-9", "pages until the item that was looked for", run<crawl::main>},
      {"001-11", "bounded memory, and an early end", run<scrape::main>},
      {"001-12", "cleanup is over when with() is", run<context_manager::main>},
  };
  return kAll;
}
