// The parts of a layer between its products, one row at a time: norms, gates, rotary positions.
// Included by level_*.cpp inside that level's namespace and target.

// e^x to about one unit in the last place for x in [−87, 88]; beyond, the value at the end. 2^n is put
// in as an exponent: n, rounded, stands in the low bits of n + 1.5·2²³.
template <class V>
static inline typename V::F exp_of(typename V::F x) {
  using F = typename V::F;
  const F magic = V::set1(0x1.8p23f);
  x = V::max(V::set1(-87.0f), V::min(V::set1(88.0f), x));
  const F shifted = V::fma(x, V::set1(0x1.715476p0f), magic);
  const F n = V::add(shifted, V::set1(-0x1.8p23f));
  const F r = V::fma(n, V::set1(-0x1.7f7d1cp-20f), V::fma(n, V::set1(-0x1.62e4p-1f), x));  // ln 2 in two parts
  // Interpolated at the Chebyshev points of ±1.01·ln 2/2: off by a third of a unit in the last place.
  F p = V::set1(0x1.6d7c4p-10f);
  for (float c : {0x1.1276b6p-7f, 0x1.5554a6p-5f, 0x1.5553f6p-3f, 0x1p-1f, 0x1p0f, 0x1p0f}) p = V::fma(p, r, V::set1(c));
  return V::shift_exponent(p, shifted);
}

// Calls body(i, n) over [0, n) in steps of a vector, the last one short.
template <class V, typename Whole, typename Rest>
static inline void each_vector(int64_t n, Whole &&whole, Rest &&rest) {
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) whole(i);
  if (i < n) rest(i, n - i);
}

// y = act(gate)·up. GELU in its tanh form: x/2·(1 + tanh z) = x·sigmoid(2z).
template <class V, bool Gelu>
static inline typename V::F gated(typename V::F g, typename V::F u) {
  using F = typename V::F;
  F z = g;
  if constexpr (Gelu) {  // 2√(2/π)·(g + 0.044715 g³)
    const F inner = V::fma(V::mul(g, g), V::set1(0x1.2444f2p-4f), V::set1(0x1.988454p0f));
    z = V::mul(g, inner);
  }
  const F e = exp_of<V>(V::mul(z, V::set1(-1.0f)));
  return V::div(V::mul(g, u), V::add(V::set1(1.0f), e));
}

template <class V>
static void gate_row(bool gelu, const float *gate, const float *up, int64_t n, float *y) {
  const auto one = [gelu](typename V::F g, typename V::F u) { return gelu ? gated<V, true>(g, u) : gated<V, false>(g, u); };
  each_vector<V>(
      n, [&](int64_t i) { V::store(y + i, one(V::load(gate + i), V::load(up + i))); },
      [&](int64_t i, int64_t rest) {
        alignas(64) float g[V::width] = {}, u[V::width] = {}, r[V::width];
        std::memcpy(g, gate + i, rest * sizeof(float));
        std::memcpy(u, up + i, rest * sizeof(float));
        V::store(r, one(V::load(g), V::load(u)));
        std::memcpy(y + i, r, rest * sizeof(float));
      });
}

// y = x / √(mean x² + eps) · w, and + add where given; w may be null. x, add and y may be the same.
template <class V>
static void norm_row(const float *x, const float *w, float eps, const float *add, int64_t n, float *y) {
  const float scale = 1.0f / std::sqrt(dot<V>(x, x, n) / static_cast<float>(n) + eps);
  const typename V::F s = V::set1(scale);
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) {
    typename V::F v = V::mul(V::load(x + i), s);
    if (w) v = V::mul(v, V::load(w + i));
    if (add) v = V::add(v, V::load(add + i));
    V::store(y + i, v);
  }
  for (; i < n; i++) y[i] = (w ? x[i] * scale * w[i] : x[i] * scale) + (add ? add[i] : 0.0f);
}

template <class V>
static void add_row(const float *a, const float *b, int64_t n, float *y) {
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) V::store(y + i, V::add(V::load(a + i), V::load(b + i)));
  for (; i < n; i++) y[i] = a[i] + b[i];
}

// Element i and element i + half of the first 2·half turn by an angle with that cosine and sine; in place.
template <class V>
static void rotate_row(float *x, const float *cosine, const float *sine, int64_t half) {
  int64_t i = 0;
  for (; i + V::width <= half; i += V::width) {
    const typename V::F a = V::load(x + i), b = V::load(x + half + i), c = V::load(cosine + i), s = V::load(sine + i);
    V::store(x + i, V::fma(V::mul(b, V::set1(-1.0f)), s, V::mul(a, c)));
    V::store(x + half + i, V::fma(a, s, V::mul(b, c)));
  }
  for (; i < half; i++) {
    const float a = x[i], b = x[half + i];
    x[i] = a * cosine[i] - b * sine[i];
    x[half + i] = a * sine[i] + b * cosine[i];
  }
}
