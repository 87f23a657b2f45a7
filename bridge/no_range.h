// What streams and channels have in place of iterators, so that a range-for over one is refused with a message that says
// how to read it: `for (T item : stream)` compiles but for the static_assert in begin(). No concept takes it for a range.
#pragma once

namespace weir::internal {

template <class T>
inline constexpr bool never = false;

template <class T>
struct NoRange {
  T& operator*() const;
  NoRange& operator++();
  bool operator!=(const NoRange&) const;
};

}  // namespace weir::internal
