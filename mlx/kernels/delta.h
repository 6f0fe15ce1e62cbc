// A gated delta net's parts on one thread: the convolution, a head's unit vector, and the recurrence over rows of a
// head's matrix. Included by level_*.cpp inside that level's namespace and target.

// y = SiLU(Σ x[w]·taps[w]) for n channels of `width` rows.
template <class V>
static void conv_row(const float *x, int64_t x_row, const float *taps, int64_t taps_row, int64_t width, int64_t n, float *y) {
  const auto sum_of = [&](int64_t i) {
    typename V::F sum = V::zero();
    for (int64_t w = 0; w < width; w++) sum = V::fma(V::load(x + w * x_row + i), V::load(taps + w * taps_row + i), sum);
    return gated<V, false>(sum, V::set1(1.0f));
  };
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) V::store(y + i, sum_of(i));
  if (i == n) return;
  alignas(64) float sums[V::width] = {};
  for (int64_t r = i; r < n; r++)
    for (int64_t w = 0; w < width; w++) sums[r - i] += x[w * x_row + r] * taps[w * taps_row + r];
  V::store(sums, gated<V, false>(V::load(sums), V::set1(1.0f)));
  std::memcpy(y + i, sums, (n - i) * sizeof(float));
}

// x·scale/√(Σx² + eps), in place.
template <class V>
static void unit_row(float *x, int64_t n, float scale, float eps) {
  const float s = scale / std::sqrt(dot<V>(x, x, n) + eps);
  int64_t i = 0;
  for (; i + V::width <= n; i += V::width) V::store(x + i, V::mul(V::load(x + i), V::set1(s)));
  for (; i < n; i++) x[i] *= s;
}

// `Rows` rows of a head's matrix take one token: from → to, which may be the same. width is whole vectors.
template <class V, int Rows>
static inline void delta_step(const float *from, float *to, const DeltaTokens &a, int64_t t, int64_t r) {
  using F = typename V::F;
  const float *k = a.k + t * a.key_row, *q = a.q + t * a.key_row, *v = a.v + t * a.v_row + r;
  const float keep = a.keep[t * a.rate_row], correct = a.correct[t * a.rate_row];
  const int64_t width = a.width;
  F sums[Rows];
  for (int i = 0; i < Rows; i++) sums[i] = V::zero();
  for (int64_t c = 0; c < width; c += V::width) {
    const F key = V::load(k + c);
#pragma GCC unroll 4
    for (int i = 0; i < Rows; i++) sums[i] = V::fma(V::load(from + i * width + c), key, sums[i]);
  }
  F delta[Rows];
  for (int i = 0; i < Rows; i++) {
    delta[i] = V::set1((v[i] - keep * V::sum(sums[i])) * correct);
    sums[i] = V::zero();
  }
  const F kept = V::set1(keep);
  for (int64_t c = 0; c < width; c += V::width) {
    const F key = V::load(k + c), query = V::load(q + c);
#pragma GCC unroll 4
    for (int i = 0; i < Rows; i++) {
      const F m = V::fma(delta[i], key, V::mul(kept, V::load(from + i * width + c)));
      V::store(to + i * width + c, m);
      sums[i] = V::fma(m, query, sums[i]);
    }
  }
  float *y = a.y + t * a.y_row + r;
  for (int i = 0; i < Rows; i++) y[i] = V::sum(sums[i]);
}

// Rows r0…r1 of a head over all tokens, four at a time: a row's bits do not depend on its neighbours.
template <class V>
static void delta_rows(const DeltaTokens &a, const float *from, float *to, int64_t r0, int64_t r1) {
  for (int64_t t = 0; t < a.count; t++) {
    const float *source = t ? to : from;
    int64_t r = r0;
    for (; r + 4 <= r1; r += 4) delta_step<V, 4>(source + r * a.width, to + r * a.width, a, t, r);
    for (; r < r1; r++) delta_step<V, 1>(source + r * a.width, to + r * a.width, a, t, r);
  }
}
