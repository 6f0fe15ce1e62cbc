// Cuts products into chunks for the pool. The arithmetic is the level's (kernels.h).
#include "products.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>
#include <stdexcept>
#include <vector>

#include "kernels.h"
#include "layers.h"

namespace reprise {

const Kernels &kernels() {
  static const Kernels *chosen = [] {
    const Kernels *all[] = {avx512_kernels(), avx2_kernels(), neon_kernels(), plain_kernels()};
    const char *wanted = std::getenv("REPRISE_CPU_LEVEL");
    for (const Kernels *k : all)
      if (k && (!wanted || !*wanted || std::strcmp(wanted, k->name) == 0)) return k;
    return plain_kernels();
  }();
  return *chosen;
}

namespace {

enum Error { ok, bad_kind, bad_shape, bad_group, bad_pointer, bad_matrix, no_memory };

constexpr int64_t max_cols = 65536;          // bounds the decoded scales that a thread keeps on its stack
constexpr int64_t matvec_chunk_bytes = 1 << 20;  // each chunk starts with memory that nobody asked for ahead
constexpr int64_t serial_pack = 16384;       // values of x below which waking a worker costs more than it saves
constexpr int64_t m_chunk = 128;             // rows of x per chunk where panels alone are too few

int resolve_format(const reprise_weights &w) {
  switch (w.kind) {
    case REPRISE_AFFINE:
      for (int bits : {2, 3, 4, 5, 6, 8})
        if (w.bits == bits) return bits;
      return 0;
    case REPRISE_MXFP4: return MX4;
    case REPRISE_NVFP4: return NV4;
    case REPRISE_DENSE: return w.scale_type == REPRISE_F32 ? F32 : w.scale_type == REPRISE_BF16 ? BF16 : F16;
  }
  return 0;
}

// The weights of one call: the format, and any of the matrices.
class Source {
 public:
  Error set(const reprise_weights &w) {
    format_ = resolve_format(w);
    if (format_ == 0) return bad_kind;
    if (w.rows < 1 || w.cols < 1 || w.count < 1 || w.cols > max_cols) return bad_shape;
    const bool dense = is_dense(format_), affine = is_affine(format_);
    if (!w.packed || (!dense && !w.scales)) return bad_pointer;
    const int64_t group = format_ == MX4 ? 32 : format_ == NV4 ? 16 : w.group;
    if (affine && group != 32 && group != 64 && group != 128) return bad_group;
    if (!dense && (w.cols % group || w.cols % block)) return bad_group;
    first_.packed = static_cast<const uint8_t *>(w.packed);
    first_.scales = static_cast<const uint8_t *>(w.scales);
    first_.biases = static_cast<const uint8_t *>(w.biases);
    first_.rows = w.rows;
    first_.cols = w.cols;
    first_.packed_stride = w.cols * bits_of(format_) / 8;
    first_.scale_type = w.scale_type;
    first_.groups = dense ? 0 : w.cols / group;
    first_.group_shift = group == 128 ? 2 : group == 64 ? 1 : 0;
    first_.scale_stride = first_.groups * (!affine ? 1 : w.scale_type == REPRISE_F32 ? 4 : 2);
    return ok;
  }
  int format() const { return format_; }
  const Matrix &first() const { return first_; }
  Matrix matrix(int64_t i) const {
    Matrix m = first_;
    m.packed += i * m.rows * m.packed_stride;
    if (m.scales) m.scales += i * m.rows * m.scale_stride;
    if (m.biases) m.biases += i * m.rows * m.scale_stride;
    return m;
  }

 private:
  int format_ = 0;
  Matrix first_{};
};

// Rows that meet one matrix, and their tiles of packed x.
struct Segment {
  Matrix w;
  int64_t begin, end;     // in Product::order
  int64_t tile, tiles;    // first tile in its Activations, and how many
  bool streamed;          // matvec: W is streamed once, tiles of one row
  int64_t n_step, m_step; // rows of W and tiles of x per chunk
  uint32_t chunk;         // first chunk
};

class Product {
 public:
  // `member` numbers the products that run together: each has scratch of its own.
  Product(Pool &pool, const Source &source, reprise_rows x, float *y, int64_t y_stride, bool integer, int member = 0)
      : pool_(pool), k_(kernels()), source_(source), x_(x), y_(y), y_stride_(y_stride),
        integer_(integer && has_integer_path(source.format())), slot_(member * 4) {}

  // One segment after another; `order` empty means rows as they come.
  void add(int64_t matrix, int64_t begin, int64_t end) {
    Segment s{};
    s.w = source_.matrix(matrix);
    s.begin = begin;
    s.end = end;
    s.streamed = end - begin <= REPRISE_MATVEC_ROWS;
    int64_t &tiles = s.streamed ? rows_ : tiles_;
    s.tile = tiles;
    s.tiles = s.streamed ? end - begin : (end - begin + tile() - 1) / tile();
    tiles += s.tiles;
    segments_.push_back(s);
  }
  std::vector<int64_t> &order() { return order_; }

  // Packs x, or takes it from a product of the same x that packed it in the same form.
  void prepare(const std::vector<Product> &before) {
    cut();
    for (const Product &p : before)
      if (p.source_.format() == source_.format() && p.integer_ == integer_) {
        streamed_ = p.streamed_;
        blocked_ = p.blocked_;
        return;
      }
    place(streamed_, slot_, 1, rows_);
    place(blocked_, slot_ + 2, tile(), tiles_);
    pack();
  }

  uint32_t chunks() const { return chunks_; }
  size_t panel_bytes() const { return tiles_ > 0 ? k_.panel_bytes(source_.first(), integer_) : 0; }

  void compute(uint32_t chunk, int thread) {
    const auto after = std::upper_bound(segments_.begin(), segments_.end(), chunk,
                                        [](uint32_t c, const Segment &s) { return c < s.chunk; });
    const Segment &s = *(after - 1);
    const int64_t m_chunks = (s.tiles + s.m_step - 1) / s.m_step, c = chunk - s.chunk;
    const int64_t n0 = c / m_chunks * s.n_step, n1 = std::min(s.w.rows, n0 + s.n_step);
    const int64_t t0 = c % m_chunks * s.m_step, t1 = std::min(s.tiles, t0 + s.m_step);
    if (s.streamed) {
      const Outputs y = outputs(s, s.begin, REPRISE_MATVEC_ROWS);
      k_.matvec(source_.format(), s.w, streamed_, s.tile, y, n0, n1, integer_);
      return;
    }
    void *panel = pool_.thread_scratch(thread).get(panel_bytes());
    const int64_t padded = s.w.padded(), slice = integer_ ? padded : float_k_slice;
    for (int64_t k0 = 0; k0 < padded; k0 += slice) {
      const int64_t k1 = std::min(padded, k0 + slice);
      k_.unpack(source_.format(), s.w, n0, static_cast<int>(n1 - n0), k0, k1, panel, integer_);
      for (int64_t t = t0; t < t1; t++) {
        k_.multiply(source_.format(), blocked_, s.tile + t, panel, k0, k1, outputs(s, s.begin + t * tile(), tile()), n0,
                    static_cast<int>(n1 - n0), integer_);
      }
    }
  }

 private:
  int tile() const { return integer_ ? k_.integer_tile : k_.float_tile; }
  int panel_rows() const { return integer_ ? k_.integer_panel : k_.float_panel; }

  const float *x_row(int64_t i) const {
    const int64_t m = order_.empty() ? i : order_[i];
    return x_.data + (x_.index ? x_.index[m] : m) * x_.stride;
  }
  float *y_row(int64_t i) const { return y_ + (order_.empty() ? i : order_[i]) * y_stride_; }

  void place(Activations &a, int slot, int tile, int64_t tiles) {
    a.tile = tile;
    a.padded = source_.first().padded();
    a.blocks = is_dense(source_.format()) ? 0 : source_.first().blocks();
    if (tiles == 0) return;
    void *values = pool_.shared_scratch(slot).get(a.tile_floats() * tiles * sizeof(float));
    a.values = static_cast<float *>(values);
    a.integers = static_cast<uint8_t *>(values);
    const size_t scales = size_t(a.blocks) * tile * tiles;
    a.scale = static_cast<float *>(pool_.shared_scratch(slot + 1).get(3 * scales * sizeof(float) + sizeof(float)));
    a.sum = a.scale + scales;
    a.start = reinterpret_cast<int32_t *>(a.sum + scales);
  }

  void pack_tile(const Segment &s, int64_t t) {
    Activations &a = s.streamed ? streamed_ : blocked_;
    const float *rows[16];
    const int64_t first = s.begin + t * a.tile;
    const int count = static_cast<int>(std::min<int64_t>(a.tile, s.end - first));
    for (int i = 0; i < count; i++) rows[i] = x_row(first + i);
    k_.pack(source_.format(), a, s.tile + t, rows, count, source_.first().cols, integer_);
  }

  void pack() {
    for (const Segment &s : segments_) {
      if ((s.end - s.begin) * s.w.cols <= serial_pack) {
        for (int64_t t = 0; t < s.tiles; t++) pack_tile(s, t);
        continue;
      }
      const int64_t step = std::max<int64_t>(1, s.tiles / (pool_.threads() * 4));
      pool_.run(static_cast<uint32_t>((s.tiles + step - 1) / step), [&](uint32_t c, int) {
        for (int64_t t = c * step; t < std::min(s.tiles, (c + 1) * step); t++) pack_tile(s, t);
      });
    }
  }

  // How a segment is cut never reaches the arithmetic: chunks are whole rows of W and tiles of x.
  void cut() {
    const int64_t threads = pool_.threads();
    uint64_t chunks = 0;
    for (Segment &s : segments_) {
      if (s.streamed) {
        const int64_t row_bytes = s.w.packed_stride + 2 * s.w.scale_stride;
        const int64_t even = s.w.rows / (threads * 4), most = std::max<int64_t>(8, matvec_chunk_bytes / row_bytes);
        s.n_step = threads == 1 ? s.w.rows : std::max<int64_t>(8, std::min(even, most));
        s.m_step = s.tiles;
      } else {
        s.n_step = panel_rows();
        const int64_t panels = (s.w.rows + s.n_step - 1) / s.n_step;
        s.m_step = panels >= threads * 3 ? s.tiles : std::max<int64_t>(1, m_chunk / tile());
      }
      s.chunk = static_cast<uint32_t>(chunks);
      chunks += uint64_t((s.w.rows + s.n_step - 1) / s.n_step) * ((s.tiles + s.m_step - 1) / s.m_step);
    }
    // Far beyond any model; growing the steps would do should one come.
    if (chunks > Pool::max_chunks) throw std::bad_alloc();
    chunks_ = static_cast<uint32_t>(chunks);
  }

  Outputs outputs(const Segment &s, int64_t first, int most) const {
    Outputs y{};
    y.count = static_cast<int>(std::min<int64_t>(most, s.end - first));
    for (int i = 0; i < y.count; i++) y.row[i] = y_row(first + i);
    return y;
  }

  Pool &pool_;
  const Kernels &k_;
  const Source &source_;
  reprise_rows x_;
  float *y_;
  int64_t y_stride_;
  bool integer_;
  int slot_;
  std::vector<int64_t> order_;
  std::vector<Segment> segments_;
  int64_t rows_ = 0, tiles_ = 0;
  Activations streamed_{}, blocked_{};
  uint32_t chunks_ = 0;
};

// Runs products as one loop.
void run(Pool &pool, std::vector<Product> &products) {
  uint32_t first[REPRISE_MEMBERS + 1] = {0};
  size_t panel = 0;
  for (size_t i = 0; i < products.size(); i++) {
    first[i + 1] = first[i] + products[i].chunks();
    panel = std::max(panel, products[i].panel_bytes());
  }
  for (int t = 0; panel && t < pool.threads(); t++) pool.thread_scratch(t).get(panel);
  const uint32_t all = first[products.size()];
  if (all > Pool::max_chunks) throw std::bad_alloc();
  pool.run(all, [&](uint32_t chunk, int thread) {
    size_t i = 0;
    while (chunk >= first[i + 1]) i++;
    products[i].compute(chunk - first[i], thread);
  });
}

int group(reprise_pool *pool, const reprise_member *members, int count, reprise_rows x, int64_t M, reprise_activation act) {
  if (M == 0) return ok;
  if (!pool || !members || !x.data || count < 1 || count > REPRISE_MEMBERS) return bad_pointer;
  if (M < 0) return bad_shape;
  Source sources[REPRISE_MEMBERS];
  for (int i = 0; i < count; i++) {
    if (!members[i].w || !members[i].y) return bad_pointer;
    if (const Error e = sources[i].set(*members[i].w)) return e;
    if (members[i].w->count != 1) return bad_matrix;
    if (members[i].w->cols != members[0].w->cols) return bad_shape;
  }
  std::lock_guard<std::mutex> one_product(pool->pool.product_mutex());
  try {
    std::vector<Product> products;
    products.reserve(count);
    for (int i = 0; i < count; i++) {
      Product p(pool->pool, sources[i], x, members[i].y, members[i].y_stride, act == REPRISE_ACT_INTEGER, i);
      p.add(0, 0, M);
      p.prepare(products);
      products.push_back(std::move(p));
    }
    run(pool->pool, products);
  } catch (const std::bad_alloc &) {
    return no_memory;
  }
  return ok;
}

void take(Pool &pool, const Source &source, const int32_t *ids, int64_t count, float scale, float *y) {
  const Kernels &k = kernels();
  const Matrix &w = source.first();
  std::lock_guard<std::mutex> alone(pool.product_mutex());
  const int64_t step = std::max<int64_t>(1, 8192 / w.cols);
  for (int t = 0; t < pool.threads(); t++) pool.thread_scratch(t).get(w.padded() * sizeof(float));
  pool.run(static_cast<uint32_t>((count + step - 1) / step), [&](uint32_t c, int thread) {
    float *row = static_cast<float *>(pool.thread_scratch(thread).get(w.padded() * sizeof(float)));
    for (int64_t i = c * step; i < std::min(count, (c + 1) * step); i++) {
      float *to = y + i * w.cols;
      if (ids[i] < 0 || ids[i] >= w.rows) {
        std::fill_n(to, w.cols, std::numeric_limits<float>::quiet_NaN());
        continue;
      }
      k.row(source.format(), w, ids[i], row);
      for (int64_t j = 0; j < w.cols; j++) to[j] = row[j] * scale;
    }
  });
}

int gathered(reprise_pool *pool, const reprise_weights *weights, reprise_rows x, const uint32_t *which, float *y,
            int64_t y_stride, int64_t M, reprise_activation act) {
  if (M == 0) return ok;
  if (!pool || !weights || !x.data || !y) return bad_pointer;
  if (M < 0) return bad_shape;
  Source source;
  if (const Error e = source.set(*weights)) return e;
  std::lock_guard<std::mutex> one_product(pool->pool.product_mutex());
  try {
    std::vector<Product> one;
    one.emplace_back(pool->pool, source, x, y, y_stride, act == REPRISE_ACT_INTEGER);
    Product &p = one[0];
    std::vector<int64_t> &order = p.order();
    order.resize(M);
    for (int64_t m = 0; m < M; m++) {
      if (which[m] >= weights->count) return bad_matrix;
      order[m] = m;
    }
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return which[a] < which[b]; });
    for (int64_t begin = 0, end; begin < M; begin = end) {
      for (end = begin + 1; end < M && which[order[end]] == which[order[begin]];) end++;
      p.add(which[order[begin]], begin, end);
    }
    p.prepare({});
    run(pool->pool, one);
  } catch (const std::bad_alloc &) {
    return no_memory;
  }
  return ok;
}

}  // namespace

void take_rows(Pool &pool, const reprise_weights &w, const int32_t *ids, int64_t count, float scale, float *y) {
  Source source;
  if (source.set(w) != ok) throw std::invalid_argument("take_rows: weights that cannot be computed with");
  take(pool, source, ids, count, scale, y);
}

}  // namespace reprise

extern "C" {

reprise_pool *reprise_pool_new(int threads, int spin_us) {
  try {
    return new reprise_pool{{threads, spin_us}, {}};
  } catch (const std::exception &) {
    return nullptr;
  }
}

void reprise_pool_free(reprise_pool *pool) { delete pool; }

int reprise_pool_threads(const reprise_pool *pool) { return pool->pool.threads(); }

int reprise_product(reprise_pool *pool, const reprise_weights *w, reprise_rows x, float *y, int64_t y_stride, int64_t M,
                    reprise_activation act) {
  const reprise_member one = {w, y, y_stride};
  return reprise::group(pool, &one, 1, x, M, act);
}

int reprise_product_group(reprise_pool *pool, const reprise_member *members, int count, reprise_rows x, int64_t M,
                          reprise_activation act) {
  return reprise::group(pool, members, count, x, M, act);
}

int reprise_product_gathered(reprise_pool *pool, const reprise_weights *w, reprise_rows x, const uint32_t *which,
                             float *y, int64_t y_stride, int64_t M, reprise_activation act) {
  if (M > 0 && !which) return reprise::bad_pointer;
  return reprise::gathered(pool, w, x, which, y, y_stride, M, act);
}

int reprise_weights_check(const reprise_weights *w) { return w ? reprise::Source().set(*w) : reprise::bad_pointer; }

const char *reprise_products_error(int code) {
  switch (code) {
    case reprise::ok: return "no error";
    case reprise::bad_kind: return "unknown weight format: affine takes 2, 3, 4, 5, 6 or 8 bits";
    case reprise::bad_shape: return "impossible shape: rows, cols and count start at 1, cols end at 65536";
    case reprise::bad_group: return "bad group: 32, 64 or 128, dividing cols; packed cols must be a multiple of 32";
    case reprise::bad_pointer: return "a buffer that the format needs is NULL";
    case reprise::bad_matrix: return "a row chooses a matrix that is not there";
    case reprise::no_memory: return "out of memory, or a product of more than a million chunks";
  }
  return "unknown error";
}

const char *reprise_cpu_level(void) { return reprise::kernels().name; }
}
