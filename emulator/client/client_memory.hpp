// A client process as the core sees it: memory that can be read, written, and found missing. The
// core says what it needs; process/ and tests provide it.
#pragma once
#include <memory>
#include <optional>
#include <span>

#include "base/address.hpp"
#include "base/result.hpp"

namespace vfiolab {

// Memory of the caller, for as long as its call lasts.
class ClientMemory {
 public:
  virtual ~ClientMemory() = default;
  // All bytes or EFAULT, as the kernel's copy_from_user(). A write that fails may have written a
  // part. Either may take as long as the client's memory takes to appear.
  virtual Result<> Read(ClientAddress from, std::span<std::byte> to) = 0;
  virtual Result<> Write(ClientAddress to, std::span<const std::byte> from) = 0;

  template <class T>
  Result<T> Load(ClientAddress from) {
    T value{};
    TRY(Read(from, BytesOf(value)));
    return value;
  }
  template <class T>
  Result<> Store(ClientAddress to, const T& value) {
    return Write(to, BytesOf(value));
  }
};

// Memory that a device reaches, at the addresses that it had when it was mapped for it.
class Pages {
 public:
  virtual ~Pages() = default;

  // False when any byte is out of reach; a part may have been copied.
  virtual bool Read(ClientAddress from, std::span<std::byte> to) = 0;
  virtual bool Write(ClientAddress to, std::span<const std::byte> from) = 0;
};

// One mm (a process image between exec and exec), held by the mappings that were made in it. After
// that image is gone every access fails: a process that got its pid or its address is a stranger.
class AddressSpace : public Pages {
 public:
  // What pinning [start, start+length) for the device would say: EFAULT where nothing is mapped or
  // the mapping forbids it (mm/gup.c check_vma_flags), or it is a BAR that does not answer. Else
  // how many bytes count as locked: those of BARs do not. Costs per mapping of the client, not per
  // page. Like a copy it may wait for the client, and others use the core meanwhile.
  struct Unpinnable {
    u64 before;  // bytes from `start` on that could be pinned, and count
    Error error;
  };
  virtual Result<u64, Unpinnable> CheckPinnable(ClientAddress start, u64 length,
                                                Permissions wanted) = 0;
  // The pages that are there now: they stay, when the client unmaps them, as long as somebody holds
  // this. Null: what is there when a device looks.
  virtual std::shared_ptr<Pages> Pin(ClientAddress, [[maybe_unused]] u64 length) { return nullptr; }

  // Locked-memory accounting of this mm (vfio_iommu_type1.c vfio_lock_acct): ENOMEM when the
  // client has no CAP_IPC_LOCK and `pages` more would exceed its RLIMIT_MEMLOCK. No pages are
  // always fine, though the limit may have been lowered below what is locked.
  virtual Result<> ChargeLocked(u64 pages) = 0;
  virtual void UnchargeLocked(u64 pages) = 0;
};

}  // namespace vfiolab
