// A doubly linked list through two pointers that the elements carry: first in, first out, and out of the middle.
#pragma once

namespace weir::internal {

// An element is in at most one list that uses the same two members. Both are null in an element that is in no list,
// and in the only element of one.
template <class T, T* T::*Previous, T* T::*Following>
class IntrusiveList {
 public:
  bool empty() const noexcept { return first_ == nullptr; }
  T* first() const noexcept { return first_; }
  static T* after(const T& element) noexcept { return element.*Following; }
  // For an element that is in this list or in none.
  bool contains(const T& element) const noexcept { return first_ == &element || element.*Previous != nullptr; }

  void push_back(T& element) noexcept {
    element.*Previous = last_;
    element.*Following = nullptr;
    (last_ != nullptr ? last_->*Following : first_) = &element;
    last_ = &element;
  }

  void remove(T& element) noexcept {
    T* const previous = element.*Previous;
    T* const following = element.*Following;
    (previous != nullptr ? previous->*Following : first_) = following;
    (following != nullptr ? following->*Previous : last_) = previous;
    element.*Previous = element.*Following = nullptr;
  }

  T* pop_front() noexcept {
    T* const element = first_;
    if (element != nullptr) remove(*element);
    return element;
  }

 private:
  T* first_ = nullptr;
  T* last_ = nullptr;
};

}  // namespace weir::internal
