// A thread that ptrace has stopped at an access of its own.
#pragma once
#include <vector>

#include "mmio/execute.hpp"
#include "tracer/device_access.hpp"

namespace vfiolab::tracer {

class TracedThread final : public mmio::StoppedThread {
 public:
  TracedThread(pid_t tid, ThreadFiles& files, const DeviceAccess& access)
      : tid_(tid), files_(files), access_(access) {}

  // Whether a device's file is mapped at the address.
  bool IsDevice(u64 address);
  // ESRCH: the thread has been killed.
  Result<> FetchRegisters();
  Result<> StoreRegisters();
  // The bytes at rip, as far as there are any, at most 15.
  std::vector<std::byte> Code() const;

  // Where ordinary memory was not there for the thread either; 0: nowhere.
  u64 segfault_at() const { return segfault_at_; }

  // mmio::StoppedThread
  Result<> Load(u64 address, std::span<std::byte> to) override;
  Result<> Store(u64 address, std::span<const std::byte> from) override;
  user_regs_struct& registers() override { return registers_; }
  Result<std::vector<std::byte>> VectorRegisters() override;
  Result<> SetVectorRegisters(std::span<const std::byte> image) override;

 private:
  // The mapping that covers all of the range, if a device's file is mapped there; null if other
  // memory is. ENOTSUP: some of both.
  Result<const Vma*> DeviceAt(u64 address, std::size_t size);
  const Vma* Find(u64 address);
  Failure<Error> Segfault(u64 address);

  pid_t tid_;
  ThreadFiles& files_;
  const DeviceAccess& access_;
  user_regs_struct registers_{};
  std::vector<Vma> known_;  // mappings met so far
  u64 segfault_at_ = 0;
};

}  // namespace vfiolab::tracer
