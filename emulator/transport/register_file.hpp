// The registers of a device as one thread of a client has them mapped. Holds the device not open.
#pragma once
#include <memory>

#include "process/caller.hpp"
#include "transport/event_loop.hpp"

namespace vfiolab {

class RegisterFile final : public OpenFile {
 public:
  RegisterFile(EventLoop& loop, CallerServices& services, std::weak_ptr<OpenFile> device_file,
               pid_t tid)
      : loop_(loop), services_(services), device_file_(std::move(device_file)), tid_(tid) {}

  std::string Name() const override { return "[registers]"; }

  // What OpenFile says of them. EIO, too, when the device is closed.
  Reply Load(std::span<std::byte> to, u64 offset);
  Reply Store(std::span<const std::byte> from, u64 offset);
  using OpenFile::Load;
  using OpenFile::Store;

 private:
  EventLoop& loop_;
  CallerServices& services_;
  std::weak_ptr<OpenFile> device_file_;
  pid_t tid_;  // of the client
};

}  // namespace vfiolab
