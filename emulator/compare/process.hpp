// A client inside of this process: memory, and descriptors that the emulated calls give it.
#pragma once
#include <map>
#include <vector>

#include "vfs/open_file.hpp"

namespace vfiolab::compare {

// One region of memory, which begins at kBase.
class ProcessMemory final : public AddressSpace {
 public:
  static constexpr u64 kBase = 0x10000000, kSize = 1_MiB;

  bool Read(ClientAddress from, std::span<std::byte> to) override;
  bool Write(ClientAddress to, std::span<const std::byte> from) override;
  Result<u64, Unpinnable> CheckPinnable(ClientAddress start, u64 length, Permissions) override;
  Result<> ChargeLocked(u64) override { return {}; }
  void UnchargeLocked(u64) override {}

 private:
  // Null where `size` bytes at `at` are not all memory.
  std::byte* At(ClientAddress at, u64 size);

  std::vector<std::byte> bytes_ = std::vector<std::byte>(kSize);
};

class Process final : public CallContext, public ClientMemory {
 public:
  explicit Process(pid_t tid) : tid_(tid) {}

  // Where arguments of calls are put, and pages to map begin.
  static constexpr u64 kArguments = ProcessMemory::kBase, kPages = kArguments + 64_KiB;

  int Add(std::shared_ptr<OpenFile> file);
  const std::shared_ptr<OpenFile>& file(int fd) const { return files_.at(fd); }
  void Close(int fd) { files_.erase(fd); }

  // CallContext
  pid_t tid() const override { return tid_; }
  ClientMemory& memory() override { return *this; }
  Result<std::shared_ptr<AddressSpace>> address_space() override {
    return std::shared_ptr<AddressSpace>(memory_);
  }
  Result<Eventfd> ImportEventfd(int) override { return Fail(EBADF, "there are no eventfds here"); }
  Result<std::shared_ptr<OpenFile>> ImportOpenFile(int fd) override;
  bool can_map_regions() const override { return false; }

  // ClientMemory
  Result<> Read(ClientAddress from, std::span<std::byte> to) override;
  Result<> Write(ClientAddress to, std::span<const std::byte> from) override;

 private:
  pid_t tid_;
  std::shared_ptr<ProcessMemory> memory_ = std::make_shared<ProcessMemory>();
  std::map<int, std::shared_ptr<OpenFile>> files_;
  int next_ = 3;
};

}  // namespace vfiolab::compare
