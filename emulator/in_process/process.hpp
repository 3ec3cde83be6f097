// An emulated host whose only client is this process: the system calls of that client, as
// functions. One thread at a time.
#pragma once
#include <optional>

#include "emulated_host/emulated_host.hpp"
#include "in_process/own_caller.hpp"
#include "in_process/own_environment.hpp"
#include "in_process/trapped_access.hpp"

namespace vfiolab::in_process {

// Unless it says otherwise, a call returns what the kernel would: a value, or an errno. A call that
// would wait for another one of this process fails with EDEADLK.
class Process final : private TrapServer {
 public:
  // `spec` has been checked.
  Process(const topology::TopologySpec& spec, std::span<const Model> models);
  ~Process() override;

  // The topology could not be built; empty when all is well. Else nothing below may be used.
  const std::string& error() const { return host_.error(); }
  EmulatedHost& host() { return host_; }

  // `path` begins with /dev or /sys. ENOENT and the like.
  Result<int> Open(std::string_view path, int flags);
  Result<> Close(int fd);
  Result<long> Ioctl(int fd, u32 command, u64 argument);
  // `buffer` is an address of this process. At the file's position, or at an offset.
  Result<long> Read(int fd, u64 buffer, u64 size, std::optional<u64> offset = {});
  Result<long> Write(int fd, u64 buffer, u64 size, std::optional<u64> offset = {});
  Result<long> Seek(int fd, off_t offset, int whence);
  // The address. Any other descriptor than one of ours is EBADF.
  Result<u64> Mmap(u64 address, u64 length, int protection, int flags, int fd, u64 offset);
  // Also of memory that has nothing to do with devices.
  Result<> Munmap(u64 address, u64 length);
  Result<std::string> ReadLink(std::string_view path);
  // Names, sorted.
  Result<std::vector<std::string>> List(std::string_view path);

  // Where the process has changed its limit of locked memory.
  void RefreshLimits() { process_.space->RefreshLockLimit(); }

  // Time stands still between these.
  Time now() const { return now_; }
  void Advance(Time by);

 private:
  // What a call comes to that has begun.
  Result<long> Finish(Reply reply);
  const std::shared_ptr<OpenFile>& Find(int fd) const { return process_.descriptors.Find(fd); }
  template <class Transfer>
  Result<long> Move(int fd, std::optional<u64> offset, Transfer transfer);

  // TrapServer
  const Windows& windows() const override { return process_.space->windows(); }
  Result<> Load(const Window& window, u64 address, std::span<std::byte> to) override;
  Result<> Store(const Window& window, u64 address, std::span<const std::byte> from) override;

  OwnEnvironment environment_;
  EmulatedHost host_;
  OwnProcess process_;
  pid_t tid_;
  Time now_{};
  Trapping trapping_{*this};
};

}  // namespace vfiolab::in_process
