#include "weir/tools/tour/producer.h"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "weir/tools/tour/input.h"
#include "weir/tools/tour/md5_chain.h"

namespace tour {

std::string thread_name() {
  std::array<char, 16> name{};
  ::pthread_getname_np(::pthread_self(), name.data(), name.size());
  return name.data();
}

weir::Generator<Piece> chained_lines(std::stop_token stop, std::string path, std::shared_ptr<ProducerNotes> notes) {
  notes->thread = thread_name();
  notes->thread_id = ::gettid();
  Input input(path);
  Line line(input);
  Md5Chain chain;
  for (bool at_end = false; !at_end && !stop.stop_requested();) {
    const std::string_view part = input.next_part();
    at_end = part.empty();
    if (!at_end) {
      chain.add(part);
      line.append(part, input.part_offset());
      notes->bytes += part.size();
      if (part.back() != '\n') continue;
    }
    notes->reads = input.reads();
    notes->waits = input.waits();
    if (line.empty()) continue;
    ++notes->lines;
    line.begin_pieces(chain.digest());
    while (std::optional<Piece> piece = line.next_piece()) co_yield std::move(*piece);
  }
  notes->finished = true;
}

}  // namespace tour
