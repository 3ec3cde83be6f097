// The memory of this process, as a client's.
#pragma once
#include "base/unique_fd.hpp"
#include "client/client_memory.hpp"
#include "in_process/pinned_pages.hpp"
#include "in_process/windows.hpp"

namespace vfiolab::in_process {

// Copies are made by this process itself and expect faults (process/guarded_copy.hpp). What lies in
// a window that traps is asked of its file, by address.
class OwnSpace final : public AddressSpace, public std::enable_shared_from_this<OwnSpace> {
 public:
  OwnSpace();

  Windows& windows() { return windows_; }
  // Where this process has become another.
  void OpenMaps();
  // The limit of locked memory is looked up now, and else only when it seems to be reached.
  void RefreshLockLimit();

  // The process is about to unmap memory. Of devices' files nothing is kept.
  void OnUnmap(u64 first, u64 last);

  // AddressSpace
  bool Read(ClientAddress from, std::span<std::byte> to) override;
  bool Write(ClientAddress to, std::span<const std::byte> from) override;
  Result<u64, Unpinnable> CheckPinnable(ClientAddress start, u64 length,
                                        Permissions wanted) override;
  std::shared_ptr<Pages> Pin(ClientAddress start, u64 length) override {
    return pins_.Add(shared_from_this(), start, length);
  }
  Result<> ChargeLocked(u64 pages) override;
  void UnchargeLocked(u64 pages) override { locked_pages_ -= pages; }

 private:
  template <class Byte, class Copy, class Ask>
  bool Move(u64 at, std::span<Byte> bytes, Copy copy, Ask ask);
  // How many bytes from `at` on, up to `last`, are of one kind and can be pinned; 0: none.
  u64 PinnableAt(u64 at, u64 last, bool few, Permissions wanted) const;

  Windows windows_;
  Pins pins_;
  UniqueFd maps_;
  u64 locked_pages_ = 0;
  u64 lock_limit_ = 0;  // in pages
};

}  // namespace vfiolab::in_process
