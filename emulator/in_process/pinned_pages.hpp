// Pages that devices reach, and that stay when this process unmaps them.
#pragma once
#include <atomic>
#include <memory>
#include <vector>

#include "client/client_memory.hpp"

namespace vfiolab::in_process {

class PinnedPages;

// All of them, of one address space.
class Pins {
 public:
  // `space` is where they are as long as they are mapped.
  std::shared_ptr<Pages> Add(std::shared_ptr<Pages> space, ClientAddress start, u64 length);
  // The process is about to unmap whole pages: those that are pinned go to another place. `maps`
  // is its /proc/self/maps. What cannot be moved is lost.
  void OnUnmap(int maps, u64 first, u64 last);
  // Whether there may be pins in that range, of whichever space of this process; from any thread.
  static bool MayBeIn(u64 first, u64 last) {
    return first <= highest.load(std::memory_order_relaxed) &&
           last >= lowest.load(std::memory_order_relaxed);
  }

 private:
  friend class PinnedPages;
  struct Pin {
    u64 first, last;
    PinnedPages* pages;
  };
  inline static std::atomic<u64> lowest{~u64{0}}, highest{0};  // of all that there have been

  std::vector<Pin> all_;  // in no order
};

// Memory of this process that only devices reach.
struct KeptMemory {
  std::byte* at;
  u64 first, last;               // where it was
  KeptMemory(u64 from, u64 to);  // as large, and nothing in it; `at` is null when there is no room
  ~KeptMemory();
  KeptMemory(const KeptMemory&) = delete;
  KeptMemory& operator=(const KeptMemory&) = delete;
};

class PinnedPages final : public Pages {
 public:
  PinnedPages(Pins& pins, std::shared_ptr<Pages> space, u64 first, u64 last);
  ~PinnedPages() override;

  bool Read(ClientAddress from, std::span<std::byte> to) override;
  bool Write(ClientAddress to, std::span<const std::byte> from) override;
  // Whether one of these pages has not gone elsewhere yet.
  bool HasStillOneOf(u64 first, u64 last) const;
  // What lies in both is there from now on, unless it has gone elsewhere before.
  void Keep(std::shared_ptr<KeptMemory> memory) { kept_.push_back(std::move(memory)); }

 private:
  friend class Pins;
  using Kept = std::vector<std::shared_ptr<KeptMemory>>;
  Kept::const_iterator Find(u64 at) const;  // the one that counts there
  template <class Byte, class Ask>
  bool Move(u64 at, std::span<Byte> bytes, Ask ask);

  Pins& pins_;
  std::size_t index_;  // among them
  std::shared_ptr<Pages> space_;
  Kept kept_;  // the earlier counts
};

}  // namespace vfiolab::in_process
