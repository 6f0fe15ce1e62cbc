package qwen35

import "reprise/mlx"

// Three kernels are a gated delta net between its projections, on Metal and CUDA: one launch each, whatever the number of
// tokens. Template arguments: DK and DV, a key's and a value's width; HK and HV, the key and the value heads; X, the
// type of activations; WIDTH, of the convolution. Groups are (32, simdgroups, 1) threads.

// prepareKernel is the convolution, SiLU, the heads' norms and the two rates: a simdgroup makes one head of one token.
// Grid: 32, heads of all three kinds by fours, T.
var prepareKernel = &mlx.Kernel{
	Name:    "reprise_delta_prepare",
	Inputs:  []string{"x", "taps", "b", "a", "rate", "bias"}, // x: [1, WIDTH−1+T, channels]
	Outputs: []string{"q", "k", "v", "decay", "correct"},
	Helpers: `
HELPER float sigmoid_of(float x) {
  float e = exp_of(x < 0 ? x : -x);
  return x < 0 ? e / (1 + e) : 1 / (1 + e);
}
// log(1 + exp(x)); what 1 + e loses of a small e is put back by the quotient.
HELPER float softplus_of(float x) {
  float e = exp_of(x < 0 ? x : -x), sum = 1 + e;
  return (x < 0 ? 0 : x) + (sum == 1 ? e : log_of(sum) * (e / (sum - 1)));
}
`,
	Body: `
  constexpr int CHANNELS = 2 * HK * DK + HV * DV, WIDEST = (DK > DV ? DK : DV), PER = (WIDEST + 31) / 32;
  const int lane = thread_position_in_threadgroup.x;
  const int t = threadgroup_position_in_grid.z;
  const int slot = threadgroup_position_in_grid.y * 4 + thread_position_in_threadgroup.y;
  const bool inside = slot < 2 * HK + HV, value = slot >= 2 * HK;
  const int dim = value ? DV : DK;
  const int first = value ? 2 * HK * DK + (slot - 2 * HK) * DV : slot * DK;
  float head[PER];
  float squares = 0;
  for (int i = 0; i < PER; i++) {
    const int at = i * 32 + lane;
    head[i] = 0;
    if (inside && at < dim) {
      float sum = 0;
      for (int w = 0; w < WIDTH; w++) sum += float(x[(t + w) * CHANNELS + first + at]) * taps[w * CHANNELS + first + at];
      head[i] = sum * sigmoid_of(sum);
      squares += head[i] * head[i];
    }
  }
  squares = lane_sum(squares);
  // The eps of 1e-6 is on the sum of squares. Queries are scaled by DK^-1/2 on top.
  float scale = value ? 1.0f : rsqrt_of(squares + 1e-6f);
  if (slot < HK) scale *= rsqrt_of(float(DK));
  for (int i = 0; i < PER; i++) {
    const int at = i * 32 + lane;
    if (inside && at < dim) {
      if (slot < HK) q[(t * HK + slot) * DK + at] = head[i] * scale;
      else if (!value) k[(t * HK + slot - HK) * DK + at] = head[i] * scale;
      else v[(t * HV + slot - 2 * HK) * DV + at] = head[i];
    }
  }
  if (inside && value && lane == 0) {
    const int h = slot - 2 * HK;
    decay[t * HV + h] = rate[h] * softplus_of(float(a[t * HV + h]) + bias[h]);
    correct[t * HV + h] = sigmoid_of(float(b[t * HV + h]));
  }
`,
}

// recurrenceKernel is the recurrence over T tokens. Eight lanes share a row of a head's matrix and hold it in registers,
// so that a simdgroup has four rows and a dot product is three exchanges; the next token is loaded while this one is
// computed. Grid: 32, rows by sixteens in groups of four simdgroups, HV.
var recurrenceKernel = &mlx.Kernel{
	Name:    "reprise_delta_recurrence",
	Inputs:  []string{"q", "k", "v", "decay", "correct", "start"},
	Outputs: []string{"y", "last"},
	Helpers: `
// Sum over the eight lanes that share a row.
HELPER float row_sum(float x) {
  x += shuffle_xor(x, 4);
  x += shuffle_xor(x, 2);
  return x + shuffle_xor(x, 1);
}
// A lane's part of a vector of DK: where DK allows it four values at a time, every eighth four.
template <int DK, int SIZE, typename P>
HELPER void load_part(P from, int lane, LOCAL float (&to)[SIZE]) {
  if (DK % 32 == 0) {
    for (int j = 0; j < DK / 8; j += 4) {
      const float4 four = load4(from + j * 8 + lane * 4);
      to[j] = four.x;
      to[j + 1] = four.y;
      to[j + 2] = four.z;
      to[j + 3] = four.w;
    }
  } else {
    for (int j = 0; j < (DK + 7) / 8; j++) to[j] = j * 8 + lane < DK ? float(from[j * 8 + lane]) : 0.0f;
  }
}
`,
	Body: `
  constexpr int PER = (DK + 7) / 8, SIZE = (PER + 3) / 4 * 4;
  const int lane = thread_position_in_threadgroup.x % 8, head = threadgroup_position_in_grid.z, key = head / (HV / HK);
  const int row = threadgroup_position_in_grid.y * 16 + thread_position_in_threadgroup.y * 4 + thread_position_in_threadgroup.x / 8;
  const bool inside = row < DV;
  const int at = (head * DV + (inside ? row : 0)) * DK, T = q_shape[1];
  float m[SIZE], keys[SIZE], queries[SIZE], next_keys[SIZE], next_queries[SIZE];
  load_part<DK>(start + at, lane, m);
  load_part<DK>(k + key * DK, lane, next_keys);
  load_part<DK>(q + key * DK, lane, next_queries);
  float next_value = v[head * DV + (inside ? row : 0)], next_decay = decay[head], next_correct = correct[head];
  for (int t = 0; t < T; t++) {
    const float value = next_value, keep = exp_of(next_decay), rate = next_correct;
    for (int j = 0; j < PER; j++) {
      keys[j] = next_keys[j];
      queries[j] = next_queries[j];
    }
    if (t + 1 < T) {
      load_part<DK>(k + ((t + 1) * HK + key) * DK, lane, next_keys);
      load_part<DK>(q + ((t + 1) * HK + key) * DK, lane, next_queries);
      next_value = v[((t + 1) * HV + head) * DV + (inside ? row : 0)];
      next_decay = decay[(t + 1) * HV + head];
      next_correct = correct[(t + 1) * HV + head];
    }
    float found = 0;
    for (int j = 0; j < PER; j++) {
      m[j] *= keep;
      found += m[j] * keys[j];
    }
    const float delta = (value - row_sum(found)) * rate;
    float read = 0;
    for (int j = 0; j < PER; j++) {
      m[j] += delta * keys[j];
      read += m[j] * queries[j];
    }
    read = row_sum(read);
    if (inside && lane == 0) y[(t * HV + head) * DV + row] = read;
  }
  if (inside) {
    for (int j = 0; j < PER; j++) {
      const int column = DK % 32 == 0 ? j / 4 * 32 + lane * 4 + j % 4 : j * 8 + lane;
      if (column < DK) last[at + column] = m[j];
    }
  }
`,
}

// finishKernel is the norm of each value head, times SiLU of the gate: a simdgroup makes one head of one token.
// Grid: 32, HV by fours, T.
var finishKernel = &mlx.Kernel{
	Name:    "reprise_delta_finish",
	Inputs:  []string{"y", "z", "weight", "eps"},
	Outputs: []string{"out"},
	Body: `
  constexpr int PER = (DV + 31) / 32;
  const int lane = thread_position_in_threadgroup.x, t = threadgroup_position_in_grid.z;
  const int head = threadgroup_position_in_grid.y * 4 + thread_position_in_threadgroup.y;
  const int first = (t * HV + head) * DV;
  float row[PER];
  float squares = 0;
  for (int i = 0; i < PER; i++) {
    const int at = i * 32 + lane;
    row[i] = head < HV && at < DV ? float(y[first + at]) : 0.0f;
    squares += row[i] * row[i];
  }
  const float scale = rsqrt_of(lane_sum(squares) / DV + eps[0]);
  for (int i = 0; i < PER; i++) {
    const int at = i * 32 + lane;
    if (head < HV && at < DV) {
      const float gate = float(z[first + at]);
      out[first + at] = X(row[i] * scale * weight[at] * (gate / (1 + exp_of(-gate))));
    }
  }
`,
}
