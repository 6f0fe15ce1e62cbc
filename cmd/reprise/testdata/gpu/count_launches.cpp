// Counts kernel launches, those inside CUDA graphs too, and the time that the GPU spent on each kernel: a library that CUDA
// loads into a process (CUDA_INJECTION64_PATH), over CUPTI. Twice a second it writes one line a kernel to $COUNT_LAUNCHES:
// launches, microseconds, name; the first line is the sum. (Go ends without the C library's exit handlers.)
//
//   g++ -shared -fPIC -O2 -I$CUDA/include -I$CUDA/extras/CUPTI/include count_launches.cpp -o libcount.so -L$CUDA/extras/CUPTI/lib64 -lcupti
#include <cupti.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <thread>

namespace {

struct Count {
  uint64_t launches = 0, nanoseconds = 0;
};
std::mutex mutex;
std::map<std::string, Count> counts;

void CUPTIAPI want(uint8_t **buffer, size_t *size, size_t *records) {
  *size = 8 << 20;
  *buffer = static_cast<uint8_t *>(aligned_alloc(8, *size));
  *records = 0;
}

void CUPTIAPI take(CUcontext, uint32_t, uint8_t *buffer, size_t, size_t valid) {
  CUpti_Activity *record = nullptr;
  std::lock_guard<std::mutex> lock(mutex);
  while (cuptiActivityGetNextRecord(buffer, valid, &record) == CUPTI_SUCCESS) {
    if (record->kind != CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) continue;
    const auto *k = reinterpret_cast<CUpti_ActivityKernel9 *>(record);
    Count &c = counts[k->name ? k->name : "?"];
    c.launches++;
    c.nanoseconds += k->end - k->start;
  }
  free(buffer);
}

void report(const std::string &path) {
  cuptiActivityFlushAll(1);
  std::lock_guard<std::mutex> lock(mutex);
  const std::string fresh = path + ".new";
  FILE *to = std::fopen(fresh.c_str(), "w");
  if (!to) return;
  Count all;
  for (const auto &[name, c] : counts) all.launches += c.launches, all.nanoseconds += c.nanoseconds;
  std::fprintf(to, "%llu\t%.1f\tall\n", static_cast<unsigned long long>(all.launches), all.nanoseconds / 1e3);
  for (const auto &[name, c] : counts) std::fprintf(to, "%llu\t%.1f\t%s\n", static_cast<unsigned long long>(c.launches), c.nanoseconds / 1e3, name.c_str());
  std::fclose(to);
  std::rename(fresh.c_str(), path.c_str());
}

}  // namespace

extern "C" int InitializeInjection(void) {
  if (cuptiActivityRegisterCallbacks(want, take) != CUPTI_SUCCESS || cuptiActivityEnable(CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL) != CUPTI_SUCCESS) {
    std::fprintf(stderr, "count_launches: CUPTI does not start\n");
    return 1;
  }
  if (const char *path = std::getenv("COUNT_LAUNCHES"))
    std::thread([path = std::string(path)] {
      for (;;) {
        std::this_thread::sleep_for(std::chrono::milliseconds(500));
        report(path);
      }
    }).detach();
  return 1;
}
