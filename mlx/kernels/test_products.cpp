// Every format × group × shape against scale·q·x + bias·x in double precision, from a bit packer and
// decoders of this file's own. Runs on the level of REPRISE_CPU_LEVEL (skipped where it is missing).
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

#include "pool.h"
#include "products.h"

namespace {

std::mt19937 generator(7);
int failures = 0;
double worst = 0;  // largest error seen, in units of its bound

float uniform(float low, float high) { return std::uniform_real_distribution<float>(low, high)(generator); }

struct Case {
  reprise_weight_kind kind;
  int bits, group;
  reprise_float_type type;
  int64_t count, rows, cols;
  float scale;  // magnitude of the scales
  bool full = false;  // all bits of a row's weights set, or none: the largest sums
  bool centred = false;  // affine without biases
  std::string name() const {
    const char *kinds[] = {"affine", "mxfp4", "nvfp4", "dense"}, *types[] = {"f32", "bf16", "f16"};
    char s[128];
    std::snprintf(s, sizeof s, "%s bits=%d group=%d %s [%d,%d,%d] scale %g", kinds[kind], bits, group, types[type],
                  int(count), int(rows), int(cols), scale);
    return s;
  }
};

// Memory that ends where a page that nobody may touch begins: reading past it crashes.
class Fenced {
 public:
  explicit Fenced(size_t bytes = 0) : size_(bytes) {
    const size_t page = sysconf(_SC_PAGESIZE), pages = (bytes + page - 1) / page;
    mapped_ = (pages + 1) * page;
    base_ = static_cast<uint8_t *>(mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON, -1, 0));
    if (base_ == MAP_FAILED || mprotect(base_ + pages * page, page, PROT_NONE) != 0) std::abort();
    data_ = base_ + pages * page - bytes;
  }
  Fenced(const Fenced &) = delete;
  Fenced &operator=(Fenced &&o) {
    std::swap(base_, o.base_), std::swap(data_, o.data_), std::swap(size_, o.size_), std::swap(mapped_, o.mapped_);
    return *this;
  }
  ~Fenced() { munmap(base_, mapped_); }
  uint8_t *data() const { return data_; }
  size_t size() const { return size_; }

 private:
  uint8_t *base_, *data_;
  size_t size_, mapped_;
};

// Float types, by arithmetic rather than by bit tricks: independent of the kernels' decoders.
double decode16(uint16_t h, int exponent_bits) {
  const int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
  const int e = (h >> fraction_bits) & ((1 << exponent_bits) - 1), f = h & ((1 << fraction_bits) - 1);
  const double m = e ? 1 + std::ldexp(f, -fraction_bits) : std::ldexp(f, -fraction_bits);
  return (h & 0x8000 ? -1 : 1) * std::ldexp(m, (e ? e : 1) - bias);
}

class Floats {  // an array of one of the three types, with its exact values
 public:
  Floats(reprise_float_type type, size_t n) : type_(type), bytes_(n * (type == REPRISE_F32 ? 4 : 2)), values_(n) {}
  Floats &operator=(Floats &&) = default;
  void set(size_t i, float x) {
    if (type_ == REPRISE_F32) {
      std::memcpy(bytes_.data() + i * 4, &x, 4);
      values_[i] = x;
      return;
    }
    // Any nearby value will do: search the 16-bit patterns by bisection on the magnitude.
    const int exponent_bits = type_ == REPRISE_BF16 ? 8 : 5;
    const uint16_t top = type_ == REPRISE_BF16 ? 0x7f7f : 0x7bff;
    uint16_t low = 0, high = top;
    while (low < high) {
      const uint16_t mid = (low + high + 1) / 2;
      decode16(mid, exponent_bits) <= std::fabs(x) ? low = mid : high = mid - 1;
    }
    const uint16_t h = low | (x < 0 ? 0x8000 : 0);
    std::memcpy(bytes_.data() + i * 2, &h, 2);
    values_[i] = decode16(h, exponent_bits);
  }
  const void *data() const { return bytes_.data(); }
  double operator[](size_t i) const { return values_[i]; }

 private:
  reprise_float_type type_;
  Fenced bytes_;
  std::vector<double> values_;
};

struct Made {
  reprise_weights w;
  Fenced packed, scales8;
  Floats scales, biases, dense;
  std::vector<double> q, s, b;  // per weight

  explicit Made(const Case &c) : w{}, scales(c.type, 0), biases(c.type, 0), dense(c.type, 0) {
    const int64_t n = c.count * c.rows * c.cols;
    q.resize(n);
    s.assign(n, 1);
    b.assign(n, 0);
    w = {c.kind, c.bits, c.group, c.type, c.count, c.rows, c.cols, nullptr, nullptr, nullptr};
    if (c.kind == REPRISE_DENSE) {
      dense = Floats(c.type, n);
      for (int64_t i = 0; i < n; i++) {
        dense.set(i, uniform(-1, 1) * c.scale);
        q[i] = dense[i];
      }
      w.packed = dense.data();
      return;
    }
    const int bits = c.kind == REPRISE_AFFINE ? c.bits : 4;
    packed = Fenced(n * bits / 8);
    static const double e2m1[8] = {0, .5, 1, 1.5, 2, 3, 4, 6};
    for (int64_t i = 0; i < n; i++) {
      const unsigned v = (c.full ? (i / c.cols % 2 ? ~0u : 0) : generator()) & ((1u << bits) - 1);
      for (int j = 0; j < bits; j++) packed.data()[(i * bits + j) / 8] |= (v >> j & 1) << ((i * bits + j) % 8);
      q[i] = c.kind == REPRISE_AFFINE ? v : (v & 8 ? -1 : 1) * e2m1[v & 7];
    }
    w.packed = packed.data();
    const int group = c.kind == REPRISE_AFFINE ? c.group : c.kind == REPRISE_MXFP4 ? 32 : 16;
    const int64_t groups = n / group;
    if (c.kind == REPRISE_AFFINE) {
      scales = Floats(c.type, groups);
      biases = Floats(c.type, groups);
      for (int64_t g = 0; g < groups; g++) {
        scales.set(g, uniform(-1, 1) * c.scale);
        biases.set(g, uniform(-1, 1) * c.scale * (1 << (c.bits - 1)));
      }
      for (int64_t i = 0; i < n; i++) s[i] = scales[i / group], b[i] = biases[i / group];
      w.scales = scales.data();
      w.biases = biases.data();
      if (c.centred) {
        for (int64_t i = 0; i < n; i++) b[i] = -s[i] * (1 << (c.bits - 1));
        w.biases = nullptr;
      }
      return;
    }
    scales8 = Fenced(groups);
    for (int64_t g = 0; g < groups; g++)
      scales8.data()[g] = c.kind == REPRISE_MXFP4 ? 117 + generator() % 20 : generator() % 127 + (generator() % 2) * 128;
    for (int64_t i = 0; i < n; i++) {
      const uint8_t e = scales8.data()[i / group];
      s[i] = c.kind == REPRISE_MXFP4 ? std::ldexp(1, e - 127)
                                     : (e & 128 ? -1 : 1) * ((e >> 3 & 15) ? std::ldexp(8 + (e & 7), (e >> 3 & 15) - 10)
                                                                           : std::ldexp(e & 7, -9));
    }
    w.scales = scales8.data();
  }
};

enum Fill { random_x, zero_x, spiky_x, full_x };

void check(reprise_pool *pool, const Case &c, int64_t M, reprise_activation act, Fill fill, bool gathered = false) {
  const Made made(c);
  const int64_t K = c.cols, N = c.rows, x_stride = K + 3, y_stride = N + 2, x_rows = M + 1;
  std::vector<float> y(M * y_stride, -77);
  const Fenced x_memory((x_rows * x_stride - 3) * 4);  // the last row ends where its columns do
  float *x = reinterpret_cast<float *>(x_memory.data());
  std::fill_n(x, x_rows * x_stride - 3, NAN);
  for (int64_t m = 0; m < x_rows; m++)
    for (int64_t k = 0; k < K; k++)
      x[m * x_stride + k] = fill == zero_x ? 0 : fill == full_x ? (m % 2 ? -1.5f : 1.5f) : fill == spiky_x ? uniform(-1, 1) * std::exp2(uniform(-20, 20)) : uniform(-2, 2);
  std::vector<int64_t> index(M);
  std::vector<uint32_t> which(M);
  for (int64_t m = 0; m < M; m++) index[m] = gathered ? generator() % x_rows : m, which[m] = generator() % c.count;
  const reprise_rows rows{x, x_stride, gathered ? index.data() : nullptr};
  const int code = gathered ? reprise_product_gathered(pool, &made.w, rows, which.data(), y.data(), y_stride, M, act)
                            : reprise_product(pool, &made.w, rows, y.data(), y_stride, M, act);
  const auto fail = [&](const char *what, int64_t m, int64_t n, double got, double want, double bound) {
    if (failures++ < 20)
      std::printf("FAIL %s M=%d act=%d fill=%d: %s at [%d,%d]: got %g, want %g, bound %g\n", c.name().c_str(), int(M), act,
                  fill, what, int(m), int(n), got, want, bound);
  };
  if (code) return fail(reprise_products_error(code), 0, 0, code, 0, 0);
  const bool integer = act == REPRISE_ACT_INTEGER && (c.kind == REPRISE_AFFINE || c.kind == REPRISE_MXFP4);
  const double steps = c.kind == REPRISE_AFFINE && c.bits == 8 ? 32767 : 127;
  // mxfp4's integer path counts from −6: its terms are up to 12 instead of 6 scales.
  const double offset = integer && c.kind == REPRISE_MXFP4 ? 12 : 0;
  for (int64_t m = 0; m < M; m++) {
    const float *xm = &x[index[m] * x_stride];
    const int64_t matrix = gathered ? which[m] : 0;
    for (int64_t n = 0; n < N; n++) {
      double want = 0, terms = 0, rounding = 0;
      for (int64_t k0 = 0; k0 < K; k0 += 32) {
        const int64_t k1 = std::min(K, k0 + 32);
        double top = 0, weights = 0;
        for (int64_t k = k0; k < k1; k++) {
          const int64_t i = (matrix * N + n) * K + k;
          want += (made.s[i] * made.q[i] + made.b[i]) * xm[k];
          top = std::fmax(top, std::fabs(xm[k]));
          weights += std::fabs(made.s[i] * made.q[i] + made.b[i]);
          // Rounding x moves it by up to half a step more than float's own, hence top for |x|.
          const double term = std::fabs(made.s[i]) * (std::fabs(made.q[i]) + offset) + std::fabs(made.b[i]);
          terms += term * (integer ? std::fabs(xm[k]) + 0.5 * top / steps : std::fabs(xm[k]));
        }
        rounding += weights * top / steps * 0.5001;
      }
      // A chain of K roundings drifts like sqrt(K) units, of equal terms like K.
      const double units = fill == full_x ? K : std::fmax(8, std::sqrt(double(K)));
      const double bound = units * 0x1p-24 * terms + (integer ? rounding : 0) + 1e-37;
      const double got = y[m * y_stride + n], error = std::fabs(got - want);
      worst = std::fmax(worst, error / bound);
      if (!(error <= bound)) return fail("differs", m, n, got, want, bound);
    }
    for (int64_t n = N; n < y_stride; n++)
      if (y[m * y_stride + n] != -77) return fail("written beyond the row", m, n, y[m * y_stride + n], -77, 0);
  }
}

void formats(reprise_pool *pool) {
  std::vector<Case> cases;
  for (int bits : {2, 3, 4, 5, 6, 8})
    for (int group : {32, 64, 128})
      for (auto type : {REPRISE_F32, REPRISE_BF16, REPRISE_F16}) cases.push_back({REPRISE_AFFINE, bits, group, type, 1, 0, 0, 1});
  cases.push_back({REPRISE_MXFP4, 4, 32, REPRISE_F32, 1, 0, 0, 1});
  cases.push_back({REPRISE_NVFP4, 4, 16, REPRISE_F32, 1, 0, 0, 1});
  for (Case c : cases)
    for (int64_t rows : {1, 5, 64, 257})
      for (int groups : {1, 3, 10})
        for (int64_t M : {1, 2, 3, 4, 7, 33}) {
          if (rows == 257 && groups == 3) continue;  // one long shape a format is enough
          c.rows = rows;
          c.cols = groups * std::max(32, c.group);
          for (auto act : {REPRISE_ACT_FLOAT, REPRISE_ACT_INTEGER}) check(pool, c, M, act, random_x);
        }
  for (Case c : cases)
    for (int64_t M : {1, 3, 7})
      for (int groups : {2, 10, 23}) {
        if (c.kind != REPRISE_AFFINE) continue;
        c.centred = true;
        c.rows = 37;
        c.cols = groups * c.group;
        for (auto act : {REPRISE_ACT_FLOAT, REPRISE_ACT_INTEGER}) check(pool, c, M, act, random_x);
      }
  for (Case c : cases)
    for (int64_t M : {1, 7}) {
      c.rows = 37;
      c.cols = 2 * std::max(32, c.group);
      for (auto act : {REPRISE_ACT_FLOAT, REPRISE_ACT_INTEGER}) {
        check(pool, c, M, act, zero_x);
        check(pool, c, M, act, spiky_x);
        Case full = c;
        full.full = true;
        check(pool, full, M, act, full_x);
        if (c.kind == REPRISE_AFFINE)
          for (float scale : {0.0f, c.type == REPRISE_F16 ? 1e-5f : 1e-30f, c.type == REPRISE_F16 ? 400.0f : 1e30f}) {
            Case extreme = c;
            extreme.scale = scale;
            check(pool, extreme, M, act, random_x);
          }
      }
    }
  for (auto type : {REPRISE_F32, REPRISE_BF16, REPRISE_F16})
    for (int64_t rows : {1, 5, 64, 257})
      for (int64_t cols : {1, 31, 32, 33, 640, 2100})
        for (int64_t M : {1, 2, 3, 7, 33}) check(pool, {REPRISE_DENSE, 0, 0, type, 1, rows, cols, 1}, M, REPRISE_ACT_FLOAT, random_x);
  // Columns beyond one slice of a float panel.
  for (int bits : {4, 8}) check(pool, {REPRISE_AFFINE, bits, 64, REPRISE_F32, 1, 20, 2176, 1}, 9, REPRISE_ACT_FLOAT, random_x);
}

void gathered(reprise_pool *pool) {
  for (int bits : {4, 5, 8})
    for (int64_t M : {1, 5, 40, 90})
      for (auto act : {REPRISE_ACT_FLOAT, REPRISE_ACT_INTEGER}) check(pool, {REPRISE_AFFINE, bits, 64, REPRISE_BF16, 6, 33, 192, 1}, M, act, random_x, true);
  check(pool, {REPRISE_MXFP4, 4, 32, REPRISE_F32, 3, 40, 64, 1}, 30, REPRISE_ACT_INTEGER, random_x, true);
  check(pool, {REPRISE_NVFP4, 4, 16, REPRISE_F32, 3, 40, 64, 1}, 30, REPRISE_ACT_FLOAT, random_x, true);
  check(pool, {REPRISE_DENSE, 0, 0, REPRISE_F32, 3, 40, 70, 1}, 30, REPRISE_ACT_FLOAT, random_x, true);
}

void expect(bool holds, const char *what) {
  if (holds) return;
  failures++;
  std::printf("FAIL %s\n", what);
}

// A group's members have the bits of products made alone, whatever formats stand together.
void groups(reprise_pool *pool) {
  const Made a({REPRISE_AFFINE, 5, 32, REPRISE_F16, 1, 40, 192, 1}), b({REPRISE_AFFINE, 5, 32, REPRISE_F16, 1, 9, 192, 1}),
      c({REPRISE_AFFINE, 8, 64, REPRISE_F32, 1, 33, 192, 1}), d({REPRISE_DENSE, 0, 0, REPRISE_BF16, 1, 20, 192, 1});
  const Made *all[] = {&a, &b, &c, &d};
  for (auto act : {REPRISE_ACT_FLOAT, REPRISE_ACT_INTEGER})
    for (int64_t M : {1, 4, 5, 30}) {
      std::vector<float> x(M * 192);
      for (auto &v : x) v = uniform(-1, 1);
      std::vector<float> together[4], alone;
      reprise_member members[4];
      for (int i = 0; i < 4; i++) {
        together[i].resize(M * all[i]->w.rows);
        members[i] = {&all[i]->w, together[i].data(), all[i]->w.rows};
      }
      expect(reprise_product_group(pool, members, 4, {x.data(), 192, nullptr}, M, act) == 0, "a group is refused");
      for (int i = 0; i < 4; i++) {
        alone.assign(together[i].size(), 0);
        reprise_product(pool, &all[i]->w, {x.data(), 192, nullptr}, alone.data(), all[i]->w.rows, M, act);
        expect(alone == together[i], "a group's member differs from the product alone");
      }
    }
  const Made narrow({REPRISE_AFFINE, 4, 32, REPRISE_F32, 1, 8, 64, 1});
  float y[40], x[192] = {};
  const reprise_member mixed[] = {{&a.w, y, 40}, {&narrow.w, y, 8}};
  expect(reprise_product_group(pool, mixed, 2, {x, 192, nullptr}, 1, REPRISE_ACT_FLOAT) != 0, "a group of two widths accepted");
}

// The same bits on every run and for every number of threads; rows alike whatever M's remainder.
void determinism() {
  const Case c{REPRISE_AFFINE, 5, 32, REPRISE_F32, 1, 300, 640, 1};
  const Made made(c);
  std::vector<float> x(50 * 640);
  for (auto &v : x) v = uniform(-1, 1);
  for (auto act : {REPRISE_ACT_FLOAT, REPRISE_ACT_INTEGER})
    for (int64_t M : {1, 3, 50}) {
      std::vector<float> first;
      for (int threads : {1, 2, 3, 5}) {
        reprise_pool *pool = reprise_pool_new(threads, threads % 2 ? 0 : -1);
        for (int run = 0; run < 5; run++) {
          std::vector<float> y(M * 300);
          reprise_product(pool, &made.w, {x.data(), 640, nullptr}, y.data(), 300, M, act);
          if (first.empty()) first = y;
          expect(std::memcmp(first.data(), y.data(), y.size() * 4) == 0, "bits depend on threads or on the run");
        }
        reprise_pool_free(pool);
      }
      if (M != 50) continue;
      reprise_pool *pool = reprise_pool_new(2, -1);
      std::vector<float> y(47 * 300);
      reprise_product(pool, &made.w, {x.data(), 640, nullptr}, y.data(), 300, 47, act);
      expect(std::memcmp(first.data(), y.data(), y.size() * 4) == 0, "bits of a row depend on M's remainder");
      reprise_pool_free(pool);
    }
}

// Every chunk exactly once, with workers awake, asleep and on their way, from several callers.
void pool_claims() {
  reprise::Pool pool(4, 20);
  for (int loop = 0; loop < 2000; loop++) {
    const uint32_t chunks = generator() % 40;
    std::vector<std::atomic<int>> hits(chunks);
    pool.run(chunks, [&](uint32_t c, int thread) {
      expect(thread >= 0 && thread < 4, "thread number");
      hits[c]++;
    });
    for (auto &h : hits) expect(h == 1, "a chunk ran another number of times than once");
    if (loop % 100 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
  reprise_pool *shared = reprise_pool_new(2, 0);
  const Made made({REPRISE_AFFINE, 4, 32, REPRISE_F32, 1, 64, 64, 1});
  std::vector<std::thread> callers;
  std::vector<std::vector<float>> y(3, std::vector<float>(64 * 8));
  const std::vector<float> x(64 * 8, 0.5f);
  for (int t = 0; t < 3; t++)
    callers.emplace_back([&, t] {
      for (int i = 0; i < 200; i++) reprise_product(shared, &made.w, {x.data(), 64, nullptr}, y[t].data(), 64, 8, REPRISE_ACT_FLOAT);
    });
  for (auto &t : callers) t.join();
  expect(y[0] == y[1] && y[1] == y[2], "callers of one pool disturb each other");
  reprise_pool_free(shared);
}

void refusals(reprise_pool *pool) {
  Made made({REPRISE_AFFINE, 4, 32, REPRISE_F32, 1, 4, 64, 1});
  float x[64] = {}, y[4];
  const auto code = [&](reprise_weights w) { return reprise_product(pool, &w, {x, 64, nullptr}, y, 4, 1, REPRISE_ACT_FLOAT); };
  reprise_weights w = made.w;
  expect(code(w) == 0, "a plain product is refused");
  w.bits = 7, expect(code(w) != 0, "7 bits accepted"), w = made.w;
  w.group = 48, expect(code(w) != 0, "group 48 accepted"), w = made.w;
  w.cols = 48, expect(code(w) != 0, "cols 48 in groups of 32 accepted"), w = made.w;
  w.cols = 1 << 17, expect(code(w) != 0, "131072 cols accepted"), w = made.w;
  w.scales = nullptr, expect(code(w) != 0, "no scales accepted"), w = made.w;
  w.rows = 0, expect(code(w) != 0, "no rows accepted"), w = made.w;
  const uint32_t which = 1;
  expect(reprise_product_gathered(pool, &made.w, {x, 64, nullptr}, &which, y, 4, 1, REPRISE_ACT_FLOAT) != 0, "matrix 1 of 1 accepted");
}

// NaN and infinity in x come out as NaN (or infinity), never as a number.
void not_numbers(reprise_pool *pool) {
  const Made made({REPRISE_AFFINE, 4, 32, REPRISE_F32, 1, 40, 96, 1});
  for (float bad : {NAN, INFINITY, -INFINITY})
    for (auto act : {REPRISE_ACT_FLOAT, REPRISE_ACT_INTEGER})
      for (int64_t M : {1, 9}) {
        std::vector<float> x(M * 96, 1.0f), y(M * 40);
        x[40] = bad;
        reprise_product(pool, &made.w, {x.data(), 96, nullptr}, y.data(), 40, M, act);
        for (int n = 0; n < 40; n++) expect(!std::isfinite(y[n]), "NaN or infinity in x is lost");
        for (int64_t i = 40; i < M * 40; i++) expect(std::isfinite(y[i]), "NaN spreads to other rows");
      }
}

}  // namespace

int main() {
  const char *wanted = std::getenv("REPRISE_CPU_LEVEL");
  if (wanted && *wanted && std::strcmp(wanted, reprise_cpu_level()) != 0) {
    std::printf("SKIP level %s: not on this machine\n", wanted);
    return 0;
  }
  reprise_pool *pool = reprise_pool_new(2, -1);
  formats(pool);
  gathered(pool);
  groups(pool);
  determinism();
  pool_claims();
  refusals(pool);
  not_numbers(pool);
  reprise_pool_free(pool);
  std::printf("%s: level %s, largest error %.2f of its bound, %d failures\n", failures ? "FAIL" : "ok", reprise_cpu_level(), worst, failures);
  return failures != 0;
}
