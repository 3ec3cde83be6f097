// What one client process holds: descriptors and memory, shared by its threads without a lock. A
// thread that replaces a descriptor closes the old one while others may be using it.
#pragma once
#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "hostile/dice.hpp"

namespace hostile {

enum class Sort : uint8_t { kContainer, kGroup, kDevice, kEventfd, kOther, kCount };

class Holdings {
 public:
  static constexpr std::size_t kPlaces = 8;
  // Few of what others want as well.
  static constexpr std::size_t kUsed[] = {4, 2, 2, 8, 4};
  static constexpr uint64_t kMemory = 64 * kPage;

  Holdings();

  // A descriptor of this sort; -1 when none is held, and seldom a number that makes no sense.
  int Get(Sort sort, Dice& dice) const;
  // The last one put there, so that what fits together is found together.
  int Latest(Sort sort) const { return descriptors_[At(sort)][0]; }
  // Takes the descriptor in the place of another, which it returns for closing (or -1).
  int Put(Sort sort, int fd, Dice& dice);
  // Gives one up; -1 when there was none.
  int TakeOut(Sort sort, Dice& dice);

  // Private memory, then as much shared memory.
  std::byte* memory() const { return memory_; }
  // An address of some page in it, seldom a strange one.
  uint64_t Address(Dice& dice) const;

  // For exec: "c5 g7 d9", and back.
  std::string List() const;
  void Adopt(const std::string& list);

 private:
  static std::size_t At(Sort sort) { return static_cast<std::size_t>(sort); }
  std::array<std::array<std::atomic<int>, kPlaces>, static_cast<std::size_t>(Sort::kCount)>
      descriptors_;
  std::byte* memory_;
};

}  // namespace hostile
