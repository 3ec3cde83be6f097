// How long a call takes.
#pragma once
#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

// Nanoseconds a call, the median of many batches.
inline double MedianNanoseconds(int per_batch, const std::function<void()>& call) {
  constexpr int kBatches = 41;
  std::vector<double> batches;
  for (int batch = -2; batch < kBatches; ++batch) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < per_batch; ++i) call();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    if (batch >= 0) batches.push_back(took.count() / per_batch);
  }
  std::nth_element(batches.begin(), batches.begin() + kBatches / 2, batches.end());
  return batches[kBatches / 2];
}
