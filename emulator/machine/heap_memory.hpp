// Memory of a device where no client maps it: on the heap.
#pragma once
#include <list>
#include <vector>

#include "machine/environment.hpp"

namespace vfiolab {

class HeapMemory final : public DeviceMemory {
 public:
  // `fd` is what fd() says.
  explicit HeapMemory(int fd = -1) : fd_(fd) {}
  std::span<std::byte> Allocate(u64, u64 size) override { return blocks_.emplace_back(size); }
  void Trap(u64, u64) override {}
  void Move(unsigned, unsigned) override {}
  void SetReachable(bool) override {}
  int fd() const override { return fd_; }

 private:
  int fd_;
  std::list<std::vector<std::byte>> blocks_;
};

}  // namespace vfiolab
