// Memory whose two pages differ: a struct across their border is readable, writable or there only
// up to any byte of it.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace hostile {

// What the page before the border and the page behind it allow.
enum class Border : uint8_t {
  kNone,          // both can be read and written
  kGone,          // nothing is mapped behind
  kClosed,        // PROT_NONE behind
  kReadOnly,      // read-only behind
  kAllReadOnly,   // both read-only
  kWriteOnly,     // PROT_WRITE alone behind
  kClosedBefore,  // PROT_NONE before
  kReadOnlyBefore,
  kCount
};

class Brink {
 public:
  Brink();
  ~Brink();
  Brink(const Brink&) = delete;
  Brink& operator=(const Brink&) = delete;

  // Puts the bytes so that `cut` of them are before the border, then closes what `border` says.
  // Bytes beyond the two pages are left out.
  void* Place(std::span<const std::byte> bytes, std::size_t cut, Border border);
  // A place without content, with `cut` bytes before the border.
  void* Place(std::size_t cut, Border border) { return Place({}, cut, border); }

 private:
  void Restore();
  void Map();

  std::byte* pages_ = nullptr;
  bool gone_ = false;
};

}  // namespace hostile
