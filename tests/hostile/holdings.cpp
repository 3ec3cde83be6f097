#include "hostile/holdings.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <sstream>

namespace hostile {

constexpr char kLetters[] = "cgdeo";

Holdings::Holdings() {
  for (auto& sort : descriptors_)
    for (auto& place : sort) place = -1;
  void* at = mmap(nullptr, 2 * kMemory, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const int fd = memfd_create("hostile", MFD_CLOEXEC);
  if (at == MAP_FAILED || fd < 0 || ftruncate(fd, kMemory) != 0) _exit(1);
  memory_ = static_cast<std::byte*>(at);
  mmap(memory_ + kMemory, kMemory, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0);
  close(fd);
}

int Holdings::Get(Sort sort, Dice& dice) const {
  constexpr int kStrange[] = {-1, -2, 0, 1 << 20, INT32_MAX, INT32_MIN};
  if (dice.Percent(2)) return dice.Pick(kStrange);
  if (dice.Percent(50)) return Latest(sort);
  const auto& places = descriptors_[At(sort)];
  return places[dice.Below(kPlaces)];
}

int Holdings::Put(Sort sort, int fd, Dice& dice) {
  auto& places = descriptors_[At(sort)];
  const int before = places[0].exchange(fd);
  return places[1 + dice.Below(kPlaces - 1)].exchange(before);
}

int Holdings::TakeOut(Sort sort, Dice& dice) {
  return descriptors_[At(sort)][dice.Below(kPlaces)].exchange(-1);
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
    if (sort < used.size() && used[sort] < kPlaces)
      descriptors_[sort][used[sort]++] = std::stoi(word.substr(1));
  }
}

}  // namespace hostile
