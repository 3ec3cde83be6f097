// Where a mapped register is, and what a load or store of it comes to: asked of the emulator
// through its mounted tree.
#pragma once
#include <sys/types.h>

#include <map>
#include <string>

#include "base/unique_fd.hpp"
#include "process/procmap.hpp"

namespace vfiolab::tracer {

// What is kept open of a thread. Holds no device open.
struct ThreadFiles {
  UniqueFd maps;    // /proc/TID/maps
  UniqueFd memory;  // /proc/TID/mem
  std::map<ino_t, UniqueFd> devices;
};

class DeviceAccess {
 public:
  static Result<DeviceAccess> Open(const std::string& tree);

  bool is_wanted() const { return static_cast<bool>(announced_); }
  // Whether a thread's descriptor is of the tree.
  bool Owns(pid_t tid, int descriptor) const;

  // Whether a mapping is one of a device's file.
  bool IsDevice(const Vma& vma) const { return vma.device == tree_ && vma.inode != 0; }

  // A load or store of thread `tid` at `address`, inside `vma`. EIO: nothing answers.
  Result<> Load(pid_t tid, ThreadFiles& files, const Vma& vma, u64 address,
                std::span<std::byte> to) const;
  Result<> Store(pid_t tid, ThreadFiles& files, const Vma& vma, u64 address,
                 std::span<const std::byte> from) const;

 private:
  DeviceAccess(UniqueFd directory, UniqueFd announced, dev_t tree)
      : directory_(std::move(directory)), announced_(std::move(announced)), tree_(tree) {}
  // -1 when the device is closed.
  int FileOf(pid_t tid, ThreadFiles& files, ino_t inode) const;

  UniqueFd directory_;
  UniqueFd announced_;  // as long as this is open, the emulator counts on us; perhaps none
  dev_t tree_;
};

}  // namespace vfiolab::tracer
