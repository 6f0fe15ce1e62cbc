package nn

import "reprise/mlx"

// What stands between the products of a layer, as kernels for Metal and CUDA (mlx/dialect.go). A decode step is many
// small launches, each of which costs more than its work: norm and residual are one, and so are the three kinds of heads.
// Template argument X is the type of activations.

// normAddKernel is (residual + norm(y)·weight)·factor, the norm where NORM and the factor where FACTOR, and where NEXT also
// the norm of that, which the next products want: a group for each row, EACH values a thread. Grid: 32, SIMDS, rows.
var normAddKernel = &mlx.Kernel{
	Name:    "reprise_norm_add",
	Inputs:  []string{"y", "residual", "weight", "factor", "next"},
	Outputs: []string{"out", "normed"},
	Helpers: `
template <int SIMDS, typename S>
HELPER float group_sum(float x, S sums, int lane, int part) {
  x = lane_sum(x);
  if (lane == 0) sums[part] = x;
  barrier();
  float total = 0;
  for (int i = 0; i < SIMDS; i++) total += sums[i];
  return total;
}
`,
	Body: `
  SHARED float sums[SIMDS];
  SHARED float next_sums[SIMDS];
  const int lane = thread_position_in_threadgroup.x, part = thread_position_in_threadgroup.y;
  const int at = (part * 32 + lane) * EACH, row = threadgroup_position_in_grid.z * WIDTH + at;
  float value[EACH], add[EACH], by[EACH];
  float squares = 0;
  if (at < WIDTH) {
    load_values<EACH>(y + row, value);
    load_values<EACH>(residual + row, add);
    for (int i = 0; i < EACH; i++) squares += value[i] * value[i];
  }
  if (NORM) {
    const float scale = rsqrt_of(group_sum<SIMDS>(squares, sums, lane, part) / WIDTH + float_of(EPS));
    if (at < WIDTH) {
      load_values<EACH>(weight + at, by);
      for (int i = 0; i < EACH; i++) value[i] = float(X(value[i] * scale * by[i]));
    }
  }
  const float times = FACTOR ? float(factor[0]) : 1.0f;
  squares = 0;
  if (at < WIDTH) {
    // Rounded where the plain ops round: the residual is added to what has the type of activations.
    for (int i = 0; i < EACH; i++) {
      value[i] = float(X(float(X(add[i] + value[i])) * times));
      squares += value[i] * value[i];
    }
    store_values<EACH>(value, out + row);
  }
  if (NEXT) {
    const float again = rsqrt_of(group_sum<SIMDS>(squares, next_sums, lane, part) / WIDTH + float_of(NEXT_EPS));
    if (at < WIDTH) {
      load_values<EACH>(next + at, by);
      for (int i = 0; i < EACH; i++) value[i] = float(X(value[i] * again)) * by[i];
      store_values<EACH>(value, normed + row);
    }
  }
`,
}

// activation is act(x), GELU in its tanh form or SiLU.
const activation = `
template <bool GELU>
HELPER float act_of(float x) {
  return GELU ? 0.5f * x * (1 + tanh_of(0.7978845608028654f * (x + 0.044715f * x * x * x))) : x / (1 + exp_of(-x));
}
`

// gateKernel is act(a)·b, where b begins at B_AT. Grid: elements by 256 in groups of (32, 8): the first axis, because CUDA
// has room for 65,535 groups only in the others.
var gateKernel = &mlx.Kernel{
	Name:    "reprise_gate",
	Inputs:  []string{"a", "b"},
	Outputs: []string{"out"},
	Helpers: activation,
	Body: `
  const int i = (threadgroup_position_in_grid.x * 8 + thread_position_in_threadgroup.y) * 32 + thread_position_in_threadgroup.x;
  if (i < SIZE) out[i] = X(float(X(act_of<GELU>(float(a[i])))) * float(b[B_AT + i]));
`,
}

// placeKernel makes heads of a product [1, T, heads·D]: the norm where NORM, times a weight where WEIGHT, and the rotation
// of the first DIMS where that is not 0. A simdgroup makes one head of one token. Queries, keys and values go through one
// launch; of one token they may lie in one array, keys from K_AT on and values from V_AT. Grid: 32, all heads by fours, T.
var placeKernel = &mlx.Kernel{
	Name:    "reprise_place",
	Inputs:  []string{"q", "k", "v", "q_weight", "k_weight", "frequency", "place"},
	Outputs: []string{"queries", "keys", "values"},
	Helpers: `
template <int D, int DIMS, bool NORM, typename X, typename P, typename W, typename F, typename O>
HELPER void place_head(P from, W weight, bool weighted, F frequency, O to, float position, float eps, int lane) {
  constexpr int HALF = DIMS / 2;
  float scale = 1;
  if (NORM) {
    float squares = 0;
    for (int i = lane; i < D; i += 32) squares += float(from[i]) * float(from[i]);
    scale = rsqrt_of(lane_sum(squares) / D + eps);
  }
  for (int i = lane; i < HALF; i += 32) { // i turns with i + HALF
    const float angle = position * frequency[i], c = cos_of(angle), s = sin_of(angle);
    const float a = float(X(float(from[i]) * scale * (weighted ? float(weight[i]) : 1.0f)));
    const float b = float(X(float(from[i + HALF]) * scale * (weighted ? float(weight[i + HALF]) : 1.0f)));
    to[i] = X(a * c - b * s);
    to[i + HALF] = X(b * c + a * s);
  }
  for (int i = 2 * HALF + lane; i < D; i += 32) to[i] = X(float(from[i]) * scale * (weighted ? float(weight[i]) : 1.0f));
}
`,
	Body: `
  const int lane = thread_position_in_threadgroup.x, t = threadgroup_position_in_grid.z, T = q_shape[1];
  const int head = threadgroup_position_in_grid.y * 4 + thread_position_in_threadgroup.y;
  const float position = float(place[0] + t);
  if (head < HQ) {
    place_head<D, DIMS, QNORM, X>(q + (t * HQ + head) * D, q_weight, QNORM, frequency, queries + (head * T + t) * D, position, float_of(QEPS), lane);
  } else if (head < HQ + HK) {
    const int h = head - HQ;
    place_head<D, DIMS, KNORM, X>(k + K_AT + (t * HK + h) * D, k_weight, KNORM, frequency, keys + (h * T + t) * D, position, float_of(KEPS), lane);
  } else if (head < HQ + 2 * HK) {
    const int h = head - HQ - HK;
    place_head<D, 0, VNORM, X>(v + V_AT + (t * HK + h) * D, k_weight, false, frequency, values + (h * T + t) * D, position, float_of(VEPS), lane);
  }
`,
}

// attendKernel is one query's attention over rows place[1] … place[2]−1 of keys and values, [1, HK, rows, D]: a group for
// each query head and each of PARTS parts of the rows. Its SIMDS simdgroups go through the rows by fours, each with a
// softmax of its own, and put them together at the end. With several parts the result is a part's sum, its maximum and
// its weight, which mergeKernel joins. Grid: 32, SIMDS·PARTS, HQ.
var attendKernel = &mlx.Kernel{
	Name:    "reprise_attend",
	Inputs:  []string{"q", "k", "v", "place"},
	Outputs: []string{"out", "stats"},
	Body: `
  constexpr int PER = D / 32, ROWS = 4;
  SHARED float tops[SIMDS];
  SHARED float weights[SIMDS];
  SHARED float sums[SIMDS * D];
  const int lane = thread_position_in_threadgroup.x, simd = thread_position_in_threadgroup.y;
  const int head = threadgroup_position_in_grid.z, part = threadgroup_position_in_grid.y;
  const int capacity = k_shape[2], first = place[1], count = place[2] - first;
  const int each = (count + PARTS - 1) / PARTS, from = part * each, to = from + each < count ? from + each : count;
  const auto keys = k + (size_t(head / (HQ / HK)) * capacity + first) * D;
  const auto values = v + (size_t(head / (HQ / HK)) * capacity + first) * D;
  float query[PER], sum[PER];
  load_values<PER>(q + head * D + lane * PER, query);
  for (int j = 0; j < PER; j++) {
    query[j] *= float_of(SCALE);
    sum[j] = 0;
  }
  float top = -1e30f, weight = 0;
  for (int r = from + simd * ROWS; r < to; r += SIMDS * ROWS) {
    float key[ROWS][PER], value[ROWS][PER], score[ROWS], now = top;
    for (int n = 0; n < ROWS; n++) { // all that is needed is asked for before any of it is used
      const size_t at = size_t(r + n < to ? r + n : to - 1) * D + lane * PER;
      load_values<PER>(keys + at, key[n]);
      load_values<PER>(values + at, value[n]);
    }
    for (int n = 0; n < ROWS; n++) {
      score[n] = 0;
      for (int j = 0; j < PER; j++) score[n] += query[j] * key[n][j];
    }
    for (int n = 0; n < ROWS; n++) {
      score[n] = lane_sum(score[n]);
      if (r + n >= to) score[n] = -1e30f;
      now = score[n] > now ? score[n] : now;
    }
    const float shrink = exp_of(top - now);
    weight *= shrink;
    for (int j = 0; j < PER; j++) sum[j] *= shrink;
    for (int n = 0; n < ROWS; n++) {
      const float e = r + n < to ? exp_of(score[n] - now) : 0.0f;
      weight += e;
      for (int j = 0; j < PER; j++) sum[j] += e * value[n][j];
    }
    top = now;
  }
  if (lane == 0) {
    tops[simd] = top;
    weights[simd] = weight;
  }
  for (int j = 0; j < PER; j++) sums[simd * D + lane * PER + j] = sum[j];
  barrier();
  float highest = -1e30f, all = 0;
  for (int n = 0; n < SIMDS; n++) highest = tops[n] > highest ? tops[n] : highest;
  for (int n = 0; n < SIMDS; n++) all += weights[n] * exp_of(tops[n] - highest);
  for (int i = simd * 32 + lane; i < D; i += SIMDS * 32) {
    float value = 0;
    for (int n = 0; n < SIMDS; n++) value += sums[n * D + i] * exp_of(tops[n] - highest);
    out[(head * PARTS + part) * D + i] = PARTS == 1 ? Y(value / all) : Y(value);
  }
  if (lane == 0 && simd == 0) {
    stats[(head * PARTS + part) * 2] = highest;
    stats[(head * PARTS + part) * 2 + 1] = all;
  }
`,
}

// mergeKernel joins the parts of attendKernel. Grid: 32, D by 32 in groups of D/32, HQ.
var mergeKernel = &mlx.Kernel{
	Name:    "reprise_attend_merge",
	Inputs:  []string{"parts", "stats"},
	Outputs: []string{"out"},
	Body: `
  const int head = threadgroup_position_in_grid.z;
  float highest = -1e30f, all = 0, value = 0;
  for (int n = 0; n < PARTS; n++) {
    const float top = stats[(head * PARTS + n) * 2];
    highest = top > highest ? top : highest;
  }
  const int i = thread_position_in_threadgroup.y * 32 + thread_position_in_threadgroup.x;
  for (int n = 0; n < PARTS; n++) {
    const float e = exp_of(stats[(head * PARTS + n) * 2] - highest);
    all += stats[(head * PARTS + n) * 2 + 1] * e;
    value += parts[(head * PARTS + n) * D + i] * e;
  }
  out[head * D + i] = X(value / all);
`,
}

// matvecKernel is one row x times a matrix of 4-bit weights, affine. With GATED it is act of the matrix' first half times its
// second half; with BY, act of the product times by. A simdgroup makes ROWS results, a lane takes 32 columns at a time, which
// lie in one group of G. A word's low five values become floats where they lie, under the exponent of 2^23: x is divided by
// their places instead. Grid: 32, results/ROWS by fours.
var matvecKernel = &mlx.Kernel{
	Name:    "reprise_matvec",
	Inputs:  []string{"x", "w", "scales", "biases", "by"},
	Outputs: []string{"out"},
	Helpers: activation + `
template <int ROWS, int K, int G, typename P, typename W, typename S>
HELPER void row_sums(P x, W w, S scales, S biases, size_t first, int lane, LOCAL float (&sum)[ROWS]) {
  constexpr int CHUNKS = K / 32, GROUPS = K / G;
  for (int r = 0; r < ROWS; r++) sum[r] = 0;
  for (int c = lane; c < CHUNKS; c += 32) {
    unsigned int words[ROWS][4];
    for (int r = 0; r < ROWS; r++) load_words(w + (first + r) * (K / 8) + c * 4, words[r]);
    float values[32], total = 0;
    load_values<32>(x + c * 32, values);
    for (int i = 0; i < 32; i++) total += values[i];
    for (int i = 0; i < 32; i++) values[i] *= i % 4 == 0 ? 1.0f : i % 4 == 1 ? 1.0f / 16 : i % 4 == 2 ? 1.0f / 256 : 1.0f / 4096;
    for (int r = 0; r < ROWS; r++) {
      float dot = 0;
      for (int i = 0; i < 8; i++) {
        const unsigned int half_word = i % 2 == 0 ? words[r][i / 2] : words[r][i / 2] >> 16;
        for (int j = 0; j < 4; j++) dot += (float_of(int((half_word & (15u << (4 * j))) | 0x4b000000u)) - 8388608.0f) * values[i * 4 + j];
      }
      const size_t group = (first + r) * GROUPS + c * 32 / G;
      sum[r] += float(scales[group]) * dot + float(biases[group]) * total;
    }
  }
  for (int r = 0; r < ROWS; r++) sum[r] = lane_sum(sum[r]);
}
`,
	Body: `
  constexpr int ROWS = GATED ? 2 : 4;
  const int lane = thread_position_in_threadgroup.x, results = GATED ? w_shape[0] / 2 : w_shape[0];
  const int first = (threadgroup_position_in_grid.y * 4 + thread_position_in_threadgroup.y) * ROWS;
  if (first >= results) return;
  float sum[ROWS], factor[ROWS];
  row_sums<ROWS, K, G>(x, w, scales, biases, first, lane, sum);
  if (GATED) row_sums<ROWS, K, G>(x, w, scales, biases, size_t(results) + first, lane, factor);
  for (int r = 0; r < ROWS; r++) {
    if (GATED || BY) sum[r] = float(X(act_of<GELU>(float(X(sum[r]))))) * (GATED ? float(X(factor[r])) : float(by[first + r]));
    if (lane == 0) out[first + r] = X(sum[r]);
  }
`,
}
