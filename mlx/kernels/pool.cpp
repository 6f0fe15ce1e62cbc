#include "pool.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <set>
#include <utility>

#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sched.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace reprise {
namespace {

constexpr int default_spin_us = 50;  // covers the gap between two products of a decode step
constexpr uint64_t chunk_bits = 20;
constexpr uint64_t chunk_mask = (1u << chunk_bits) - 1;
constexpr size_t alignment = 64;

uint64_t next_of(uint64_t ticket) { return ticket & chunk_mask; }
uint64_t count_of(uint64_t ticket) { return (ticket >> chunk_bits) & chunk_mask; }
uint64_t loop_of(uint64_t ticket) { return ticket >> (2 * chunk_bits); }

void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Calls ready() until it holds or the time is over; the clock is read only now and then.
template <typename Ready>
bool spin_until(Ready ready, int microseconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(microseconds);
  do {
    for (int i = 0; i < 32; i++) {
      if (ready()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return ready();
}

}  // namespace

void Scratch::Free::operator()(void *p) const { ::operator delete(p, std::align_val_t(alignment)); }

void *Scratch::get(size_t bytes) {
  if (bytes > size_) {
    memory_.reset();
    memory_.reset(::operator new(bytes, std::align_val_t(alignment)));
    size_ = bytes;
  }
  return memory_.get();
}

Pool::Pool(int threads, int spin_us)
    : spin_us_(spin_us < 0 ? default_spin_us : spin_us), per_thread_(threads > 0 ? threads : physical_cores()) {
  for (int t = 1; t < static_cast<int>(per_thread_.size()); t++) workers_.emplace_back([this, t] { worker(t); });
}

Pool::~Pool() {
  {
    std::lock_guard<std::mutex> lock(sleep_);
    stop_ = true;
  }
  work_.notify_all();
  for (auto &w : workers_) w.join();
}

bool Pool::has_work() const {
  const uint64_t t = ticket_.load();
  return next_of(t) < count_of(t);
}

// Claims one chunk of the loop in progress and runs it; false when none is left.
bool Pool::claim_and_run(int thread) {
  uint64_t t = ticket_.load(std::memory_order_acquire);
  do {
    if (next_of(t) >= count_of(t)) return false;
  } while (!ticket_.compare_exchange_weak(t, t + 1, std::memory_order_acq_rel, std::memory_order_acquire));
  call_(body_, static_cast<uint32_t>(next_of(t)), thread);
  // The loop may end, and its caller reuse everything, as soon as the last chunk is counted: after
  // that only members that outlive loops may be touched.
  if (finished_.fetch_add(1) + 1 == count_of(t) && caller_sleeps_.load()) {
    std::lock_guard<std::mutex> lock(sleep_);
    done_.notify_all();
  }
  return true;
}

void Pool::run_loop(uint32_t chunks, Call call, void *body) {
  if (chunks > max_chunks) std::abort();  // a mistake of the code that cut the work
  if (chunks <= 1 || workers_.empty()) {
    for (uint32_t c = 0; c < chunks; c++) call(body, c, 0);
    return;
  }
  call_ = call;
  body_ = body;
  finished_.store(0);
  const uint64_t loop = loop_of(ticket_.load()) + 1;
  ticket_.store((loop << (2 * chunk_bits)) | (uint64_t(chunks) << chunk_bits));
  if (sleepers_.load() > 0) {
    std::lock_guard<std::mutex> lock(sleep_);
    work_.notify_all();
  }
  while (claim_and_run(0)) {
  }
  const auto all_done = [&] { return finished_.load() == chunks; };
  if (spin_until(all_done, spin_us_)) return;
  std::unique_lock<std::mutex> lock(sleep_);
  caller_sleeps_ = true;
  done_.wait(lock, all_done);
  caller_sleeps_ = false;
}

void Pool::worker(int thread) {
  while (!stop_) {
    while (claim_and_run(thread)) {
    }
    if (spin_until([this] { return has_work() || stop_.load(); }, spin_us_)) continue;
    std::unique_lock<std::mutex> lock(sleep_);
    // Counted before the last look at the ticket: the caller stores the ticket before it looks at
    // the count, so one of the two sees the other.
    sleepers_++;
    work_.wait(lock, [this] { return stop_ || has_work(); });
    sleepers_--;
  }
}

// Hyper-threads share the units that these loops saturate, so a thread per core is the default.
int physical_cores() {
#if defined(__APPLE__)
  int cores = 0;
  size_t size = sizeof cores;
  // Performance cores first: equal chunks would wait for the efficiency cores.
  if (sysctlbyname("hw.perflevel0.physicalcpu", &cores, &size, nullptr, 0) == 0 && cores > 0) return cores;
  if (sysctlbyname("hw.physicalcpu", &cores, &size, nullptr, 0) == 0 && cores > 0) return cores;
#elif defined(__linux__)
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    std::set<std::pair<int, int>> cores;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
      if (!CPU_ISSET(cpu, &allowed)) continue;
      const auto read = [cpu](const char *name) {
        char path[96];
        std::snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, name);
        int value = cpu;  // without sysfs every CPU counts as a core
        if (FILE *f = std::fopen(path, "r")) {
          if (std::fscanf(f, "%d", &value) != 1) value = cpu;
          std::fclose(f);
        }
        return value;
      };
      cores.insert({read("physical_package_id"), read("core_id")});
    }
    if (!cores.empty()) return static_cast<int>(cores.size());
  }
#endif
  const int n = static_cast<int>(std::thread::hardware_concurrency());
  return n > 0 ? n : 1;
}

}  // namespace reprise
