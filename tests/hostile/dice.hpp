// Random numbers that a seed makes again.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace hostile {

constexpr uint64_t kPage = 4096;

inline uint64_t Mix(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9e3779b97f4a7c15 * (b + 1);
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return z ^ z >> 31;
}

// Where checks of sizes, counts and addresses turn.
constexpr std::array<uint64_t, 56> kBoundaries{0,
                                               1,
                                               2,
                                               3,
                                               4,
                                               5,
                                               7,
                                               8,
                                               9,
                                               12,
                                               15,
                                               16,
                                               17,
                                               19,
                                               20,
                                               23,
                                               24,
                                               25,
                                               31,
                                               32,
                                               33,
                                               40,
                                               48,
                                               63,
                                               64,
                                               65,
                                               127,
                                               128,
                                               255,
                                               256,
                                               4095,
                                               4096,
                                               4097,
                                               65535,
                                               65536,
                                               1ull << 20,
                                               0x7fffffff,
                                               0x80000000,
                                               0xfee00000,
                                               0xfffff000,
                                               0xfffffffe,
                                               0xffffffff,
                                               1ull << 32,
                                               1ull << 39,
                                               1ull << 40,
                                               1ull << 47,
                                               0x7ffffffff000,
                                               (1ull << 47) - 4096,
                                               1ull << 62,
                                               (1ull << 63) - 1,
                                               1ull << 63,
                                               ~0ull - 8191,
                                               ~0ull - 4095,
                                               ~0ull - 7,
                                               ~0ull - 1,
                                               ~0ull};

class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}

  uint64_t Next() { return Mix(state_++, 0); }
  uint64_t Below(uint64_t n) { return Next() % n; }
  bool Percent(unsigned n) { return Below(100) < n; }
  uint64_t Boundary() { return kBoundaries[Below(kBoundaries.size())]; }

  template <class T, std::size_t N>
  T Pick(const T (&values)[N]) {
    return values[Below(N)];
  }

 private:
  uint64_t state_;
};

}  // namespace hostile
