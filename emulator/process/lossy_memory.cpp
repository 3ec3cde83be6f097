#include "process/lossy_memory.hpp"

#include <sys/mman.h>

#include <csetjmp>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <utility>

namespace vfiolab {
namespace {

thread_local sigjmp_buf* volatile armed = nullptr;
struct sigaction previous;

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

void OnSigbus(int signal, siginfo_t* info, void* context) {
  if (armed != nullptr) siglongjmp(*armed, 1);
  if (Replace(info->si_addr)) return;
  // Not ours: whoever was there before decides.
  if (previous.sa_flags & SA_SIGINFO) return previous.sa_sigaction(signal, info, context);
  if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN)
    return previous.sa_handler(signal);
  std::abort();
}

bool InstallHandler() {
  struct sigaction action {};
  action.sa_sigaction = OnSigbus;
  // The handler may leave by a jump: the signal must not stay blocked.
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  return ::sigaction(SIGBUS, &action, &previous) == 0;
}

bool HasHandler() {
  static const bool installed = InstallHandler();
  return installed;
}

}  // namespace

bool SafeCopy(void* to, const void* from, std::size_t count) {
  if (!HasHandler()) return false;
  sigjmp_buf here;
  if (sigsetjmp(here, 0) != 0) {
    armed = nullptr;
    return false;
  }
  armed = &here;
  std::memcpy(to, from, count);
  armed = nullptr;
  return true;
}

LossyMemory::LossyMemory(std::span<std::byte> pages) : begin_(pages.data()) {
  static_cast<void>(HasHandler());
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
