// The memory behind the mappings of a device's file.
#pragma once
#include <span>
#include <vector>

#include "base/unique_fd.hpp"
#include "machine/environment.hpp"
#include "process/lossy_memory.hpp"

namespace vfiolab {

// A sparse file: a memfd, or, where something in it is to raise SIGBUS, the only file of a small
// tmpfs that is full.
class BackingFile final : public DeviceMemory {
 public:
  explicit BackingFile(std::string name) : name_(std::move(name)) {}
  ~BackingFile() override;

  std::span<std::byte> Allocate(u64 offset, u64 size) override;
  void Trap(u64 offset, u64 size) override;
  void Move(unsigned from, unsigned to) override;
  void SetReachable(bool reachable) override;
  int fd() const override { return fd_.get(); }

  // Whether clients have the file behind `fd` open or mapped.
  static bool IsInUse(int fd);

 private:
  struct Part {
    u64 offset;
    std::span<std::byte> bytes;
    LossyMemory survives = LossyMemory(bytes);
  };
  void Create();
  UniqueFd CreateFull() const;
  void FillUp();
  void Publish();
  void Withdraw();
  u64 allocated() const;
  u64 length() const;

  std::string name_;
  UniqueFd fd_;
  struct Extent {
    u64 offset, size;
  };
  std::vector<Extent> traps_;
  bool reachable_ = false;
  std::vector<Part> parts_;  // private memory while the file is not reachable
};

}  // namespace vfiolab
