// The primitives against MLX's own quantize, dequantize and matmul, built as graphs through the C
// handles: layouts of x, dtypes, gathering, errors, and that evaluation keeps its inputs alive.
#include <cstdio>
#include <cstring>
#include <string>

#include "launches.h"
#include "mlx/c/error.h"
#include "mlx/mlx.h"
#include "primitives.h"

namespace mx = mlx::core;

namespace {

int failures = 0;
std::string last_error;

mlx_array handle(const mx::array &a) { return {const_cast<mx::array *>(&a)}; }
const mx::Stream stream = mx::default_stream(mx::Device::cpu);
const mlx_stream c_stream{const_cast<mx::Stream *>(&stream)};

// An array built by one of the functions; takes the handle over.
mx::array taken(int code, mlx_array res, const char *what) {
  if (code) {
    failures++;
    std::printf("FAIL %s: %s\n", what, last_error.c_str());
    return mx::array(0.0f);
  }
  mx::array a = *static_cast<mx::array *>(res.ctx);
  delete static_cast<mx::array *>(res.ctx);
  return a;
}

void expect_close(const mx::array &got, const mx::array &want, float tolerance, const std::string &what) {
  if (got.shape() != want.shape() || got.dtype() != want.dtype()) {
    failures++;
    std::printf("FAIL %s: shape or dtype differs\n", what.c_str());
    return;
  }
  const auto f = [](const mx::array &a) { return mx::astype(a, mx::float32); };
  const float error = mx::max(mx::abs(mx::subtract(f(got), f(want)))).item<float>();
  const float size = mx::max(mx::abs(f(want))).item<float>();
  if (!(error <= tolerance * size)) {
    failures++;
    std::printf("FAIL %s: error %g of %g\n", what.c_str(), error, size);
  }
}

void expect_error(int code, const char *part) {
  if (code == 1 && last_error.find(part) != std::string::npos) return;
  failures++;
  std::printf("FAIL expected an error with '%s', got code %d '%s'\n", part, code, last_error.c_str());
}

}  // namespace

// A custom kernel's launches: MLX's call once for each way of launching it, and primitives that compute all the same. The
// kernel is a sum on the CPU, so that what the outputs hang on is seen in their values.
void test_launches() {
  int calls = 0;
  reprise_kernel kernel([&](const std::vector<mx::array> &inputs, const std::vector<mx::Shape> &, const std::vector<mx::Dtype> &, auto, auto,
                            const auto &, auto, bool, mx::StreamOrDevice) {
    calls++;
    return std::vector<mx::array>{mx::add(inputs[0], inputs[1])};
  });
  const auto launch = [&](const mx::array &a, const mx::array &b, int grid, int constant) {
    reprise_launch l{};
    l.input_count = 2, l.output_count = 1, l.arg_count = 1;
    l.grid[0] = grid, l.grid[1] = l.grid[2] = 1;
    l.group[0] = l.group[1] = l.group[2] = 1;
    l.inputs[0] = reinterpret_cast<uintptr_t>(&a), l.inputs[1] = reinterpret_cast<uintptr_t>(&b);
    l.outputs[0].rank = 1, l.outputs[0].shape[0] = a.shape(0), l.outputs[0].dtype = a.dtype() == mx::int32 ? MLX_INT32 : MLX_FLOAT32;
    l.args[0] = {0, constant};
    const char *names[] = {"N"};
    const int before = calls;
    auto made = kernel.launch(l, nullptr, stream);
    if (made.empty()) made = kernel.launch(l, names, stream);
    else if (calls != before) failures++, std::printf("FAIL a launch without names that was new\n");
    return made.front();
  };
  const auto expect = [&](const mx::array &got, const mx::array &want, int want_calls, const char *what) {
    expect_close(got, want, 0, what);
    if (calls != want_calls) failures++, std::printf("FAIL %s: MLX's call was made %d times, not %d\n", what, calls, want_calls);
  };
  const mx::array a = mx::arange(0.0f, 9.0f), b = mx::arange(9.0f, 18.0f), c = mx::arange(0, 9), few = mx::arange(0.0f, 4.0f);
  expect(launch(a, b, 9, 1), mx::add(a, b), 1, "a first launch");
  expect(launch(b, b, 9, 1), mx::add(b, b), 1, "other inputs");
  expect(launch(a, b, 18, 1), mx::add(a, b), 2, "another grid");
  expect(launch(a, b, 9, 2), mx::add(a, b), 3, "another constant");
  expect(launch(c, c, 9, 1), mx::add(c, c), 4, "another type");
  expect(launch(few, few, 9, 1), mx::add(few, few), 5, "inputs that Metal takes as constants");
  expect(launch(b, a, 9, 1), mx::add(a, b), 5, "the first way again");
  mlx_array none{nullptr};
  reprise_launch broken{};
  broken.input_count = broken.output_count = 1;
  expect_error(reprise_kernel_launch(&none, &kernel, &broken, nullptr, c_stream), "input is an empty array");
  if (reprise_kernel *k = reprise_kernel_new(REPRISE_CUDA, "none", nullptr, 0, nullptr, 0, "", "")) {
    failures++, std::printf("FAIL a kernel without outputs was taken\n");
    reprise_kernel_free(k);
  }
}

int main() {
  mx::set_default_device(mx::Device::cpu);
  mlx_set_error_handler([](const char *m, void *) { last_error = m; }, nullptr, nullptr);
  reprise_pool *pool = reprise_pool_new(2, -1);
  mx::random::seed(3);
  const int N = 40, K = 128, E = 5;
  const mx::array dense = mx::random::normal({E, N, K});
  struct Mode {
    const char *name;
    int group, bits;
  };
  std::vector<Mode> modes = {{"mxfp4", 32, 4}, {"nvfp4", 16, 4}};
  for (int bits : {2, 3, 4, 5, 6, 8})
    for (int group : {32, 64, 128}) modes.push_back({"affine", group, bits});
  for (const Mode &mode : modes)
    for (const mx::Dtype dtype : {mx::float32, mx::bfloat16, mx::float16}) {
      const std::string what = std::string(mode.name) + " " + std::to_string(mode.bits) + " group " + std::to_string(mode.group);
      const bool affine = !std::strcmp(mode.name, "affine");
      const float tolerance = dtype == mx::float32 ? 1e-5f : 1e-2f;
      const auto q = mx::quantize(mx::astype(dense, dtype), mode.group, mode.bits, mode.name);
      // Dequantized in float32: MLX would round to the scales' dtype.
      const std::optional<mx::array> q_biases = affine ? std::optional(mx::astype(q[2], mx::float32)) : std::nullopt;
      const mx::array q_scales = affine ? mx::astype(q[1], mx::float32) : q[1];
      const mx::array wide = mx::astype(mx::dequantize(q[0], q_scales, q_biases, mode.group, mode.bits, mode.name), mx::float32);
      const auto one = [&](const mx::array &a) { return mx::contiguous(mx::take(a, 1, 0)); };
      const mx::array w = one(q[0]), scales = one(q[1]), biases = affine ? one(q[2]) : q[1], w_wide = one(wide);
      const auto product = [&](const mx::array &x) {
        mlx_array r{nullptr};
        const int code = reprise_quantized_matmul(&r, handle(x), handle(w), handle(scales), affine ? handle(biases) : mlx_array{nullptr},
                                                  mode.group, mode.bits, mode.name, REPRISE_ACT_FLOAT, pool, c_stream);
        return taken(code, r, what.c_str());
      };
      const auto want = [&](const mx::array &x) {
        return mx::astype(mx::matmul(mx::astype(x, mx::float32), mx::transpose(w_wide)), x.dtype());
      };
      const mx::array x = mx::astype(mx::random::normal({2, 7, K}), dtype);
      expect_close(product(x), want(x), tolerance, what + " three axes");
      const mx::array last = mx::slice(x, {0, 6, 0}, {2, 7, K});
      expect_close(product(last), want(last), tolerance, what + " last row of each batch");
      const mx::array swapped = mx::swapaxes(x, 0, 1);
      expect_close(product(swapped), want(swapped), tolerance, what + " swapped batch axes");
      const mx::array columns = mx::transpose(mx::astype(mx::random::normal({K, 6}), dtype));
      expect_close(product(columns), want(columns), tolerance, what + " columns as rows");

      const mx::array parts = mx::astype(mx::random::normal({3, 1, 1, K}), dtype);
      const mx::array rhs = mx::array({4, 0, 2, 2, 1, 4}, {3, 2}, mx::uint32);
      mlx_array r{nullptr};
      const int code = reprise_gather_qmm(&r, handle(parts), handle(q[0]), handle(q[1]), affine ? handle(q[2]) : mlx_array{nullptr}, {nullptr},
                                          handle(rhs), mode.group, mode.bits, mode.name, REPRISE_ACT_FLOAT, pool, c_stream);
      const mx::array chosen = mx::take(wide, rhs, 0);  // [3, 2, N, K]
      const mx::array gathered = mx::matmul(mx::astype(parts, mx::float32), mx::swapaxes(chosen, -1, -2));
      expect_close(taken(code, r, "gather"), mx::astype(gathered, dtype), tolerance, what + " gathered");
    }

  for (const mx::Dtype dtype : {mx::float32, mx::bfloat16, mx::float16}) {
    const mx::array w = mx::astype(mx::random::normal({33, 70}), dtype), x = mx::random::normal({5, 70});
    mlx_array r{nullptr};
    const int code = reprise_dense_matmul(&r, handle(x), handle(w), pool, c_stream);
    expect_close(taken(code, r, "dense"), mx::matmul(x, mx::transpose(mx::astype(w, mx::float32))), 1e-5f, "dense");

    const mx::array stack = mx::astype(mx::random::normal({4, 33, 70}), dtype), parts = mx::random::normal({3, 1, 1, 70});
    const mx::array rhs = mx::array({3, 0, 2, 2, 1, 3}, {3, 2}, mx::int32);
    mlx_array g{nullptr};
    const int rc = reprise_gather_qmm(&g, handle(parts), handle(stack), {nullptr}, {nullptr}, {nullptr}, handle(rhs), 0, 0, "", REPRISE_ACT_FLOAT, pool, c_stream);
    const mx::array chosen = mx::swapaxes(mx::take(mx::astype(stack, mx::float32), rhs, 0), -1, -2);
    expect_close(taken(rc, g, "dense gather"), mx::matmul(parts, chosen), 1e-5f, "dense gathered");
  }

  // A chain long enough that inputs die before their task runs, unless evaluation holds them.
  const auto q = mx::quantize(mx::random::normal({K, K}), 32, 8);
  mx::array a = mx::random::normal({1, K}), b = a;
  const mx::array wide = mx::transpose(mx::dequantize(q[0], q[1], q[2], 32, 8));
  for (int i = 0; i < 50; i++) {
    mlx_array r{nullptr};
    const int code = reprise_quantized_matmul(&r, handle(a), handle(q[0]), handle(q[1]), handle(q[2]), 32, 8, "affine", REPRISE_ACT_FLOAT, pool, c_stream);
    a = mx::multiply(taken(code, r, "chain"), mx::array(0.1f));
    b = mx::multiply(mx::matmul(b, wide), mx::array(0.1f));
  }
  expect_close(a, b, 1e-4f, "a chain of fifty products");

  const mx::array x = mx::zeros({1, K}), bad = mx::zeros({1, 96});
  mlx_array r{nullptr};
  const auto call = [&](const mx::array &in, int group, int bits, const char *mode) {
    return reprise_quantized_matmul(&r, handle(in), handle(q[0]), handle(q[1]), handle(q[2]), group, bits, mode, REPRISE_ACT_FLOAT, pool, c_stream);
  };
  expect_error(call(bad, 32, 8, "affine"), "w does not hold x's columns");
  expect_error(call(x, 64, 8, "affine"), "scales do not fit");
  expect_error(call(x, 32, 7, "affine"), "w does not hold x's columns");
  expect_error(call(x, 32, 8, "int4"), "mode 'int4'");
  expect_error(reprise_quantized_matmul(&r, handle(x), handle(q[0]), {nullptr}, {nullptr}, 32, 8, "affine", REPRISE_ACT_FLOAT, pool, c_stream), "no scales");
  expect_error(reprise_gather_qmm(&r, handle(x), handle(q[0]), {nullptr}, {nullptr}, {nullptr}, handle(x), 0, 0, "", REPRISE_ACT_FLOAT, pool, c_stream), "do not fit");
  expect_error(reprise_quantized_matmul(&r, {nullptr}, handle(q[0]), handle(q[1]), handle(q[2]), 32, 8, "affine", REPRISE_ACT_FLOAT, pool, c_stream), "x is an empty array");
  test_launches();
  std::printf("%s: primitives, level %s, %d failures\n", failures ? "FAIL" : "ok", reprise_cpu_level(), failures);
  mx::synchronize();
  reprise_pool_free(pool);
  return failures != 0;
}
