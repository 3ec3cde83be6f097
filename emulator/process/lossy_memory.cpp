#include "process/lossy_memory.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <map>
#include <utility>

#include "process/fault_signals.hpp"

namespace vfiolab {
namespace {

// Sizes, by where they begin. The handler looks while the thread that it interrupts touches memory,
// and so does not change this.
std::map<std::byte*, std::size_t>& Lossy() {
  static std::map<std::byte*, std::size_t> ranges;
  return ranges;
}

bool Replace(void* address) {
  constexpr std::uintptr_t kPageSize = 4096;
  auto* at = static_cast<std::byte*>(address);
  const auto after = Lossy().upper_bound(at);
  if (after == Lossy().begin()) return false;
  const auto& [begin, size] = *std::prev(after);
  if (at >= begin + size) return false;
  void* page = reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(at) & ~(kPageSize - 1));
  return ::mmap(page, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
                -1, 0) != MAP_FAILED;
}

bool OnFault(siginfo_t& info, ucontext_t&) {
  return info.si_signo == SIGBUS && Replace(info.si_addr);
}

}  // namespace

LossyMemory::LossyMemory(std::span<std::byte> pages) : begin_(pages.data()) {
  AddFaultHandler(OnFault);
  Lossy().emplace(pages.data(), pages.size());
}

LossyMemory::~LossyMemory() {
  if (begin_ != nullptr) Lossy().erase(begin_);
}

LossyMemory::LossyMemory(LossyMemory&& other) noexcept
    : begin_(std::exchange(other.begin_, nullptr)) {}

LossyMemory& LossyMemory::operator=(LossyMemory&& other) noexcept {
  std::swap(begin_, other.begin_);
  return *this;
}

}  // namespace vfiolab
