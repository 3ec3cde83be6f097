// What the machine needs of the world around it. The only such things: all else that reaches the
// core comes through the Door.
#pragma once
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.hpp"
#include "base/eventfd.hpp"

namespace vfiolab {

// A sparse file of memory that can be handed to clients; one for each device. First its contents
// are laid out, then it becomes reachable.
class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  // `size` zero bytes at `offset` of the file; both in whole pages. They live as long as this.
  virtual std::span<std::byte> Allocate(u64 offset, u64 size) = 0;
  // `size` bytes at `offset` that can be mapped, and whose every access raises SIGBUS.
  virtual void Trap(u64 offset, u64 size) = 0;
  // What lies at n << from moves to n << to, for each n; nobody has the file mapped.
  virtual void Move(unsigned from, unsigned to) = 0;
  // Whether clients' mappings reach the bytes; otherwise each access of theirs raises SIGBUS. The
  // bytes stay as they are.
  virtual void SetReachable(bool reachable) = 0;
  virtual int fd() const = 0;  // -1 where memory cannot be handed out
};

// Stops watching when destroyed.
class EventfdWatch {
 public:
  virtual ~EventfdWatch() = default;
  // Whether anyone is left who could signal it: a client has it open. May take long.
  virtual bool HasClients() = 0;
};

// Stops watching when destroyed.
class MemoryWatch {
 public:
  virtual ~MemoryWatch() = default;
};

class Environment {
 public:
  virtual ~Environment() = default;
  virtual std::unique_ptr<DeviceMemory> CreateDeviceMemory(const std::string& name) = 0;
  // Calls `signalled` through the Door each time the counter of `eventfd` becomes non-zero, and
  // clears the counter. `eventfd` stays the caller's. Null: the emulator has no descriptors left.
  virtual std::unique_ptr<EventfdWatch> WatchEventfd(const Eventfd& eventfd,
                                                     std::function<void()> signalled) = 0;
  // While clients can have `memory` mapped: asks again and again, from any thread, whether it
  // `has_changed`, and then goes through the Door, which looks itself. Null: nobody maps memory.
  virtual std::unique_ptr<MemoryWatch> WatchMemory(const DeviceMemory& memory,
                                                   std::function<bool()> has_changed) = 0;
};

}  // namespace vfiolab
