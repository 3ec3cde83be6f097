// The memory behind the mappings of a device's file.
#pragma once
#include <span>
#include <vector>

#include "base/unique_fd.hpp"
#include "machine/environment.hpp"
#include "process/lossy_memory.hpp"

namespace vfiolab {

// What is to raise SIGBUS.
enum class Traps {
  kInFile,   // lies in the file, which then is the only one of a small tmpfs that is full
  kNowhere,  // is nobody's to map
};

// A sparse file: a memfd, or that tmpfs.
class BackingFile final : public DeviceMemory {
 public:
  explicit BackingFile(std::string name, Traps traps = Traps::kInFile)
      : name_(std::move(name)), where_traps_are_(traps) {}
  ~BackingFile() override;

  std::span<std::byte> Allocate(u64 offset, u64 size) override;
  void Trap(u64 offset, u64 size) override;
  void Move(unsigned from, unsigned to) override;
  void SetReachable(bool reachable) override;
  int fd() const override { return fd_.get(); }

  // Whether an access there is to trap.
  bool IsTrap(u64 offset) const;

  // Whether clients have the file behind `fd` open or mapped.
  static bool IsInUse(int fd);

 private:
  struct Part {
    u64 offset;
    std::span<std::byte> bytes;
    LossyMemory survives = LossyMemory(bytes);
  };
  // Whether the file has such places.
  bool HasTraps() const { return where_traps_are_ == Traps::kInFile && !traps_.empty(); }
  void Create();
  UniqueFd CreateFull() const;
  void FillUp();
  void Publish();
  void Withdraw();
  u64 allocated() const;
  u64 length() const;

  std::string name_;
  Traps where_traps_are_;
  UniqueFd fd_;
  struct Extent {
    u64 offset, size;
  };
  std::vector<Extent> traps_;
  bool reachable_ = false;
  std::vector<Part> parts_;  // private memory while the file is not reachable
};

}  // namespace vfiolab
