#include "hostile/holdings.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <sstream>

namespace hostile {

constexpr uint64_t kApart = 1ull << 30;
constexpr char kLetters[] = "cgdeo";

Holdings::Holdings() {
  for (auto& sort : descriptors_)
    for (auto& place : sort) place = -1;
  // With nothing around it: what is mapped for DMA may reach beyond it.
  void* apart =
      mmap(nullptr, kApart, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  void* at = static_cast<std::byte*>(apart) + kApart / 2;
  const int fd = memfd_create("hostile", MFD_CLOEXEC);
  if (apart == MAP_FAILED || fd < 0 || ftruncate(fd, kMemory) != 0) _exit(1);
  memory_ = static_cast<std::byte*>(at);
  mprotect(memory_, kMemory, PROT_READ | PROT_WRITE);
  mmap(memory_ + kMemory, kMemory, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  close(fd);
}

int Holdings::Get(Sort sort, Dice& dice) const {
  constexpr int kStrange[] = {-1, -2, 0, 1 << 20, INT32_MAX, INT32_MIN};
  if (dice.Percent(2)) return dice.Pick(kStrange);
  if (dice.Percent(50) && Latest(sort) >= 0) return Latest(sort);
  const auto& places = descriptors_[At(sort)];
  const std::size_t used = kUsed[At(sort)], first = dice.Below(used);
  for (std::size_t i = 0; i < used; i++)
    if (const int fd = places[(first + i) % used]; fd >= 0) return fd;
  return -1;
}

int Holdings::Put(Sort sort, int fd, Dice& dice) {
  auto& places = descriptors_[At(sort)];
  const int before = places[0].exchange(fd);
  return places[1 + dice.Below(kUsed[At(sort)] - 1)].exchange(before);
}

int Holdings::TakeOut(Sort sort, Dice& dice) {
  return descriptors_[At(sort)][dice.Below(kUsed[At(sort)])].exchange(-1);
}

uint64_t Holdings::Address(Dice& dice) const {
  if (dice.Percent(5)) return dice.Boundary();
  const auto base = reinterpret_cast<uint64_t>(memory_);
  return base + dice.Below(2 * kMemory / kPage) * kPage;
}

std::string Holdings::List() const {
  std::string list;
  for (std::size_t sort = 0; sort < descriptors_.size(); sort++)
    for (const auto& place : descriptors_[sort])
      if (place >= 0) list += kLetters[sort] + std::to_string(place) + " ";
  return list;
}

void Holdings::Adopt(const std::string& list) {
  std::istringstream words(list);
  std::array<std::size_t, static_cast<std::size_t>(Sort::kCount)> used{};
  for (std::string word; words >> word;) {
    const std::size_t sort = std::string(kLetters).find(word[0]);
    if (sort < used.size() && used[sort] < kUsed[sort])
      descriptors_[sort][used[sort]++] = std::stoi(word.substr(1));
  }
}

}  // namespace hostile
