// print(), as Python's: one line on standard output, values between spaces, containers and strings in them as Python
// shows them. A line is whole, whatever other threads print.
//
//   print("digits", std::vector{1, 2}, 2.0);       // digits [1, 2] 2.0
#pragma once

#include <cmath>
#include <map>
#include <sstream>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

namespace examples {

void write_line(std::string line);

inline std::string shown(const std::string& text) { return "'" + text + "'"; }
inline std::string shown(bool value) { return value ? "True" : "False"; }

template <class Number>
  requires(std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool>)
std::string shown(Number number) {
  std::ostringstream text;
  text << number;
  if constexpr (std::is_floating_point_v<Number>) {
    if (number == std::floor(number)) text << ".0";
  }
  return text.str();
}

template <class... T>
std::string shown(const std::variant<T...>& item) {
  return std::visit([](const auto& value) { return shown(value); }, item);
}

template <class T>
std::string shown(const std::vector<T>& items) {
  std::string text = "[";
  for (const T& item : items) text += (text.size() > 1 ? ", " : "") + shown(item);
  return text + "]";
}

template <class K, class T>
std::string shown(const std::map<K, T>& items) {
  std::string text = "{";
  for (const auto& [key, item] : items) text += (text.size() > 1 ? ", " : "") + shown(key) + ": " + shown(item);
  return text + "}";
}

template <class... T>
void print(const T&... values) {
  std::string line;
  const auto add = [&line](const auto& value) {
    if (!line.empty()) line += ' ';
    if constexpr (std::is_convertible_v<decltype(value), std::string_view>) {
      line += value;
    } else {
      line += shown(value);
    }
  };
  (add(values), ...);
  write_line(std::move(line));
}

}  // namespace examples
