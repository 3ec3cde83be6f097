#include "hostile/brink.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "hostile/dice.hpp"

namespace hostile {

Brink::Brink() { Map(); }

Brink::~Brink() { munmap(pages_, gone_ ? kPage : 2 * kPage); }

void Brink::Map() {
  void* at = mmap(nullptr, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) _exit(1);
  pages_ = static_cast<std::byte*>(at);
  gone_ = false;
}

void Brink::Restore() {
  if (gone_) {
    void* behind = mmap(pages_ + kPage, kPage, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (behind == MAP_FAILED) {  // another thread has taken the gap
      munmap(pages_, kPage);
      Map();
      return;
    }
    gone_ = false;
  }
  if (mprotect(pages_, 2 * kPage, PROT_READ | PROT_WRITE) != 0) Map();
}

void* Brink::Place(std::span<const std::byte> bytes, std::size_t cut, Border border) {
  Restore();
  std::byte* behind = pages_ + kPage;
  std::byte* at = behind - std::min<std::size_t>(cut, kPage);
  const auto room = static_cast<std::size_t>(pages_ + 2 * kPage - at);
  if (!bytes.empty()) memcpy(at, bytes.data(), std::min(bytes.size(), room));
  switch (border) {
    case Border::kGone:
      gone_ = munmap(behind, kPage) == 0;
      break;
    case Border::kClosed:
      mprotect(behind, kPage, PROT_NONE);
      break;
    case Border::kReadOnly:
      mprotect(behind, kPage, PROT_READ);
      break;
    case Border::kAllReadOnly:
      mprotect(pages_, 2 * kPage, PROT_READ);
      break;
    case Border::kWriteOnly:
      mprotect(behind, kPage, PROT_WRITE);
      break;
    case Border::kClosedBefore:
      mprotect(pages_, kPage, PROT_NONE);
      break;
    case Border::kReadOnlyBefore:
      mprotect(pages_, kPage, PROT_READ);
      break;
    case Border::kNone:
    case Border::kCount:
      break;
  }
  return at;
}

}  // namespace hostile
