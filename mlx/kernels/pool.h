// A pool of threads that share the chunks of one loop at a time.
//
// Owns its threads, the loop in progress, and scratch memory per thread. Must not know what a chunk
// computes.
//
// Invariants
//  - A chunk runs exactly once, on whichever thread claims it first; loops never overlap.
//  - run() returns when every chunk has finished. It waits for claimed chunks only, never for a
//    worker to wake up: a pool whose workers are off the processor costs the parallelism, not a stall.
//  - A worker spins for spin_us after its last chunk and then sleeps, so an idle pool costs nothing
//    and two processes do not take each other's time by spinning.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace reprise {

// Grow-only aligned memory: kept between products, since a decode step asks for it a hundred times.
class Scratch {
 public:
  Scratch() = default;
  Scratch(Scratch &&) = default;
  void *get(size_t bytes);

 private:
  struct Free {
    void operator()(void *p) const;
  };
  std::unique_ptr<void, Free> memory_;
  size_t size_ = 0;
};

class Pool {
 public:
  Pool(int threads, int spin_us);
  ~Pool();
  Pool(const Pool &) = delete;
  Pool &operator=(const Pool &) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(chunk, thread) for chunk in [0, chunks), chunks < max_chunks. The caller works too,
  // as thread 0. The body must not throw.
  template <typename Body>
  void run(uint32_t chunks, Body &&body) {
    using Fn = std::remove_reference_t<Body>;
    run_loop(chunks, [](void *b, uint32_t chunk, int thread) { (*static_cast<Fn *>(b))(chunk, thread); },
             const_cast<void *>(static_cast<const void *>(&body)));
  }

  // Held for a whole product: loops and scratch belong to one caller at a time.
  std::mutex &product_mutex() { return product_; }
  static constexpr int slots = 28;
  Scratch &shared_scratch(int slot) { return shared_[slot]; }
  Scratch &thread_scratch(int thread) { return per_thread_[thread]; }

  static constexpr uint32_t max_chunks = (1u << 20) - 1;

 private:
  using Call = void (*)(void *, uint32_t chunk, int thread);
  void run_loop(uint32_t chunks, Call call, void *body);
  bool claim_and_run(int thread);
  void worker(int thread);
  bool has_work() const;

  // Loop number, chunk count and next chunk in one word: a late worker cannot take a chunk number of
  // one loop for one of the next, and a claimed chunk proves that call_ and body_ are its loop's.
  std::atomic<uint64_t> ticket_{0};
  std::atomic<uint32_t> finished_{0};
  Call call_ = nullptr;
  void *body_ = nullptr;

  std::mutex sleep_;
  std::condition_variable work_, done_;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> caller_sleeps_{false}, stop_{false};

  std::mutex product_;
  int spin_us_;
  Scratch shared_[slots];
  std::vector<Scratch> per_thread_;
  std::vector<std::thread> workers_;
};

int physical_cores();

}  // namespace reprise
