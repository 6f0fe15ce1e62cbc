// Times the products of one model step against OpenBLAS in alternating runs:
//   build/bench [threads [path/to/libopenblas.so [symbol prefix]]]
// Minimum over repetitions; weights of distinct layers in turn, so that they come from memory.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "products.h"

namespace {

using Gemm = void (*)(int, int, int, int, int, int, float, const float *, int, const float *, int, float, float *, int);
Gemm sgemm;

double seconds(const std::function<void()> &f) {
  const auto start = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

struct Layer {
  int bits, group;
  int64_t N, K;
  int copies;
};

struct Weights {
  std::vector<uint8_t> packed;
  std::vector<uint16_t> scales;  // centred weights in half precision: what Q5_0 and Q8_0 import to
  reprise_weights w;
  Weights(const Layer &l)
      : packed(l.N * l.K * (l.bits ? l.bits : 32) / 8, 0x35), scales(l.bits ? l.N * l.K / l.group : 0, 0x2400) {
    if (!l.bits) std::fill_n(reinterpret_cast<float *>(packed.data()), l.N * l.K, 0.5f);
    w = {l.bits ? REPRISE_AFFINE : REPRISE_DENSE, l.bits, l.group, l.bits ? REPRISE_F16 : REPRISE_F32, 1, l.N, l.K, packed.data(), scales.data(), nullptr};
  }
  double bytes() const { return double(packed.size()) + 2.0 * scales.size(); }
};

// One step through `layers` with M rows: seconds per step, for float, integer and OpenBLAS.
void compare(const char *title, reprise_pool *pool, const std::vector<Layer> &layers, int64_t M, int repetitions) {
  std::vector<Weights> weights;
  std::vector<Layer> each;
  int64_t widest = 0, macs = 0;
  double bytes = 0;
  for (const Layer &l : layers)
    for (int i = 0; i < l.copies; i++) {
      weights.emplace_back(l);
      each.push_back(l);
      widest = std::max({widest, l.N, l.K});
      macs += l.N * l.K * M;
      bytes += weights.back().bytes();
    }
  std::vector<float> x(M * widest, 0.25f), y(M * widest), dense;
  if (sgemm) dense.assign(macs / M, 0.5f);
  const auto ours = [&](reprise_activation act) {
    for (size_t i = 0; i < each.size(); i++)
      reprise_product(pool, &weights[i].w, {x.data(), each[i].K, nullptr}, y.data(), each[i].N, M, act);
  };
  const auto blas = [&] {
    const float *w = dense.data();
    for (const Layer &l : each) {
      sgemm(101, 111, 112, int(M), int(l.N), int(l.K), 1, x.data(), int(l.K), w, int(l.K), 0, y.data(), int(l.N));
      w += l.N * l.K;
    }
  };
  double best[3] = {1e9, 1e9, 1e9};
  for (int r = 0; r < repetitions; r++) {
    best[0] = std::min(best[0], seconds([&] { ours(REPRISE_ACT_FLOAT); }));
    best[1] = std::min(best[1], seconds([&] { ours(REPRISE_ACT_INTEGER); }));
    if (!sgemm) continue;
    best[2] = std::min(best[2], seconds(blas));
    // OpenBLAS's threads spin on for tens of milliseconds and would take ours' time.
    std::this_thread::sleep_for(std::chrono::milliseconds(80));
  }
  std::printf("%-26s M=%-4d", title, int(M));
  const char *names[] = {"float", "integer", "sgemm f32"};
  for (int i = 0; i < (sgemm ? 3 : 2); i++)
    std::printf(" | %s %8.3f ms %5.1f GMAC/s %5.1f GB/s %7.1f tok/s", names[i], best[i] * 1e3, macs / best[i] / 1e9,
                (i == 2 ? 4.0 * macs / M : bytes) / best[i] / 1e9, M / best[i]);
  std::printf("\n");
}

}  // namespace

int main(int argc, char **argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 0;
  if (argc > 2) {
    setenv("OPENBLAS_NUM_THREADS", argv[1], 1);
    void *lib = dlopen(argv[2], RTLD_NOW);
    const std::string prefix = argc > 3 ? argv[3] : "";
    if (lib) sgemm = reinterpret_cast<Gemm>(dlsym(lib, (prefix + "cblas_sgemm").c_str()));
    if (!sgemm) std::printf("no %scblas_sgemm in %s\n", prefix.c_str(), argv[2]);
  }
  reprise_pool *pool = reprise_pool_new(threads, -1);
  std::printf("level %s, %d threads\n", reprise_cpu_level(), reprise_pool_threads(pool));
  const int many = argc > 4 ? std::atoi(argv[4]) : 15;
  // Gemma 3 270M as its Q4_K_M file imports: q, k, v, o and gate, up in 5 bits, half of the down projections
  // in 4, half in 8 (they are Q6_K), the head in 8.
  const std::vector<Layer> body = {{5, 32, 1024, 640, 18}, {5, 32, 256, 640, 36}, {5, 32, 640, 1024, 18}, {5, 32, 2048, 640, 36}, {4, 32, 640, 2048, 9}, {8, 32, 640, 2048, 9}};
  std::vector<Layer> all = body;
  all.push_back({8, 32, 262144, 640, 1});
  compare("270M with head", pool, all, 1, many);
  compare("270M head 8 bit", pool, {{8, 32, 262144, 640, 1}}, 1, many);
  for (int bits : {4, 5, 8, 2, 3, 6}) {
    const std::string title = std::to_string(bits) + " bit 2048x2048 x24";
    compare(title.c_str(), pool, {{bits, 32, 2048, 2048, 24}}, 1, many);
  }
  compare("f32 2048x2048 x12", pool, {{0, 0, 2048, 2048, 12}}, 1, many);
  compare("270M body", pool, body, 512, 3);
  compare("270M body", pool, body, 32, 3);
  compare("270M body", pool, body, 8, 3);
  for (int bits : {4, 5, 8}) compare((std::to_string(bits) + " bit 2048x640").c_str(), pool, {{bits, 32, 2048, 640, 4}}, 512, 5);
  reprise_pool_free(pool);
}
