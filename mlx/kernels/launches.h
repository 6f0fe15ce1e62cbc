// A custom kernel and the primitives that its launches made, for launch.cpp and its test.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "launch.h"
#include "mlx/array.h"
#include "mlx/fast.h"

// MLX's call puts a kernel's whole source together at every launch, which costs several microseconds, hundreds of times a
// decode step. What comes of it is a primitive that depends on how the kernel is launched, not on what the inputs hold:
// it is kept for each way, and later launches share it, as those of a compiled function do.
struct reprise_kernel {
  explicit reprise_kernel(mlx::core::fast::CustomKernelFunction run) : run_(std::move(run)) {}

  // Without names nothing is launched in a way that is new: the result is empty.
  std::vector<mlx::core::array> launch(const reprise_launch &launch, const char **names, mlx::core::Stream stream);
  size_t kept() const { return primitives_.size(); }

 private:
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  mlx::core::fast::CustomKernelFunction run_;
  std::unordered_map<std::string, std::shared_ptr<mlx::core::Primitive>, Hash, std::equal_to<>> primitives_;
};
