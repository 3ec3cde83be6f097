// A thread of this process in the middle of a call, as a CallContext.
#pragma once
#include "in_process/descriptors.hpp"
#include "in_process/own_space.hpp"
#include "process/buffer_caller.hpp"

namespace vfiolab::in_process {

// What all calls of this process have in common.
struct OwnProcess {
  Descriptors descriptors;
  std::shared_ptr<OwnSpace> space = std::make_shared<OwnSpace>();
};

class OwnCaller : public CallContext, private ClientMemory {
 public:
  OwnCaller(OwnProcess& process, pid_t tid) : process_(process), tid_(tid) {}

  pid_t tid() const override { return tid_; }
  ClientMemory& memory() override { return *this; }
  Result<std::shared_ptr<AddressSpace>> address_space() override {
    return std::shared_ptr<AddressSpace>(process_.space);
  }
  Result<Eventfd> ImportEventfd(int fd) override;
  Result<std::shared_ptr<OpenFile>> ImportOpenFile(int fd) override;
  bool can_map_regions() const override { return true; }
  bool can_trap() const override { return true; }

 protected:
  // How many bytes, from the first on, can be had.
  std::size_t ReadSome(ClientAddress from, std::span<std::byte> to);
  Result<> Write(ClientAddress to, std::span<const std::byte> from) override;

 private:
  Result<> Read(ClientAddress from, std::span<std::byte> to) override;

  OwnProcess& process_;
  pid_t tid_;
};

using OwnBuffer = BufferOf<OwnCaller>;

// Another device whose DMA reaches a device's registers. It has no memory and no descriptors.
class Peer final : public CallContext, private ClientMemory {
 public:
  pid_t tid() const override { return 0; }
  ClientMemory& memory() override { return *this; }
  Result<std::shared_ptr<AddressSpace>> address_space() override { return None(); }
  Result<Eventfd> ImportEventfd(int) override { return None(); }
  Result<std::shared_ptr<OpenFile>> ImportOpenFile(int) override { return None(); }
  bool can_map_regions() const override { return false; }

 private:
  static Failure<Error> None() { return Fail(EFAULT, "a device makes no calls"); }
  Result<> Read(ClientAddress, std::span<std::byte>) override { return None(); }
  Result<> Write(ClientAddress, std::span<const std::byte>) override { return None(); }
};

// Whether a load or store has been made.
inline bool Moved(Reply reply) { return !reply.deferred() && reply.completion().value; }

}  // namespace vfiolab::in_process
