// Sharing rows out over a pool.
#pragma once

#include <algorithm>
#include <cstdint>

#include "pool.h"

namespace reprise {

constexpr int64_t serial_values = 8192;  // fewer are done before a worker would have woken

// Calls body(row) for every row, some to a chunk.
template <typename Body>
void each_row(Pool &pool, int64_t rows, int64_t width, Body &&body) {
  if (rows * width <= serial_values) {
    for (int64_t r = 0; r < rows; r++) body(r);
    return;
  }
  const int64_t step = std::max<int64_t>({1, 2048 / std::max<int64_t>(width, 1), rows / (pool.threads() * 4)});
  pool.run(static_cast<uint32_t>((rows + step - 1) / step), [&](uint32_t c, int) {
    for (int64_t r = c * step; r < std::min(rows, (c + 1) * step); r++) body(r);
  });
}

}  // namespace reprise
