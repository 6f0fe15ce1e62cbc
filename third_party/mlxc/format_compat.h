// mlx-c uses std::format, which GCC 12 (Debian 12) does not have. Force-included when compiling mlx-c:
// where <format> exists this is nothing; elsewhere it supplies plain "{}" substitution, all that mlx-c uses.
#pragma once
#if defined(__cplusplus)
#if __has_include(<format>)
#include <format>
#else
#include <sstream>
#include <string>
#include <string_view>

namespace std {
inline void reprise_format_into(ostringstream &out, string_view f) { out << f; }
template <typename A, typename... Rest>
void reprise_format_into(ostringstream &out, string_view f, const A &a, const Rest &...rest) {
  const auto at = f.find("{}");
  if (at == string_view::npos) {
    out << f;
    return;
  }
  out << f.substr(0, at) << a;
  reprise_format_into(out, f.substr(at + 2), rest...);
}
template <typename... Args>
string format(string_view f, const Args &...args) {
  ostringstream out;
  reprise_format_into(out, f, args...);
  return out.str();
}
} // namespace std
#endif
#endif
