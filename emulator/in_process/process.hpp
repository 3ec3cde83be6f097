// An emulated host whose only client is this process: the system calls of that client, as
// functions. One thread at a time, whichever it is.
#pragma once
#include <fcntl.h>

#include <chrono>
#include <optional>

#include "emulated_host/emulated_host.hpp"
#include "in_process/own_caller.hpp"
#include "in_process/own_environment.hpp"
#include "in_process/sockets.hpp"
#include "in_process/trapped_access.hpp"

namespace vfiolab::in_process {

// Unless it says otherwise, a call returns what the kernel would: a value, or an errno. A call that
// would wait for another one of this process fails with EDEADLK.
class Process final : private TrapServer {
 public:
  // Whether time is that of the world, or stands still unless it is told to go.
  enum class Clock { kReal, kVirtual };

  // `spec` has been checked.
  Process(const topology::TopologySpec& spec, std::span<const Model> models,
          Clock clock = Clock::kVirtual);
  ~Process() override;

  // The topology could not be built; empty when all is well. Else nothing below may be used.
  const std::string& error() const { return host_.error(); }
  EmulatedHost& host() { return host_; }

  // `path` begins with /dev or /sys. ENOENT and the like.
  Result<int> Open(std::string_view path, int flags);
  // The file behind a descriptor once more, as by /proc/self/fd. ENXIO: an ioctl has opened it.
  Result<int> OpenAnew(int fd, int flags);
  // chmod and chown. EPERM: not of a device's node.
  Result<> SetAttributes(const std::string& path, std::optional<mode_t> mode,
                         DeviceNode::Owner owner);
  Result<> Close(int fd);
  // The same where the number has become somebody else's.
  void Forget(int fd);
  Result<long> Ioctl(int fd, u32 command, u64 argument);
  // `buffer` is an address of this process. At the file's position, or at an offset.
  Result<long> Read(int fd, u64 buffer, u64 size, std::optional<u64> offset = {});
  Result<long> Write(int fd, u64 buffer, u64 size, std::optional<u64> offset = {});
  Result<long> Seek(int fd, off_t offset, int whence);
  // The address. Any other descriptor than one of ours is EBADF.
  Result<u64> Mmap(u64 address, u64 length, int protection, int flags, int fd, u64 offset);
  // Also of memory that has nothing to do with devices.
  Result<> Munmap(u64 address, u64 length);
  // Before memory is unmapped in whichever way: what devices reach stays theirs.
  void BeforeUnmap(u64 address, u64 length);
  // After it.
  void ForgetWindows(u64 address, u64 length);
  // Only what was in that memory has gone.
  void ForgetPages(u64 address, u64 length);
  // As ForgetWindows() for who has moved it elsewhere (mremap).
  void MoveWindows(u64 from, u64 length, u64 to, u64 new_length);
  // The one that covers the address; null: none.
  const Window* FindWindow(u64 address) const { return windows().Find(address); }
  const Windows& windows() const override { return process_.space->windows(); }
  // One that the process has already, as a child has those of its parent.
  void AddWindow(Window window) { process_.space->windows().Add(std::move(window)); }
  // Faults are not seen to any more.
  void StopTrapping() { trapping_.reset(); }
  // This process has become another, which has neither its descriptors nor its mappings: files go
  // on as long as others have them.
  void Forsake();
  // mprotect of memory where there may be devices' files; of registers it is all there is to do.
  void ProtectWindows(u64 address, u64 length, int protection);
  Result<std::string> ReadLink(std::string_view path);
  // Names, sorted.
  Result<std::vector<std::string>> List(std::string_view path);

  Sockets& sockets() { return sockets_; }

  // Where the process has changed its limit of locked memory.
  void RefreshLimits() { process_.space->RefreshLockLimit(); }

  // A number that there is, of a file that somebody has opened; the number.
  int Install(int fd, OpenDescription opened);
  // A number more of that descriptor.
  Result<int> InstallCopy(int fd, OpenDescription opened);
  Descriptors& descriptors() { return process_.descriptors; }
  // `written` is told of all that has been written to a file of text.
  using Written =
      std::function<void(const std::string& path, std::span<const std::byte> text, u64 offset)>;
  void set_written(Written written) { written_ = std::move(written); }

  // `made` is a number that the kernel has made of `fd`.
  void Share(int fd, int made) { process_.descriptors.Share(fd, made); }
  bool Has(int fd) const { return Find(fd) != nullptr; }
  // By which path a descriptor was opened; empty: by none, or it is none of ours.
  std::string PathOf(int fd) const { return Has(fd) ? Find(fd)->path : std::string(); }

  Time now();
  // Lets virtual time go by, and whatever is due happen.
  void Advance(Time by);
  // When there is something to do: at the next deadline, or with one of these.
  std::optional<Time> NextDeadline() const { return host_.machine().clock().NextDeadline(); }
  std::size_t WatchedEventfdCount() const { return environment_.watch_count(); }
  std::vector<int> WatchedEventfds() const { return environment_.WatchedEventfds(); }

  // Somebody has mapped memory of a device, this process or another; nobody has any more.
  void OnMapped(int memory) { environment_.OnMapped(memory); }
  void OnAllUnmapped() { environment_.OnAllUnmapped(); }
  // Whether there is mapped memory of which devices are to hear; from any thread, whether there is
  // something to hear.
  bool maps_watched_memory() const { return environment_.maps_watched_memory(); }
  bool MemoryHasChanged() { return environment_.MemoryHasChanged(); }
  void HearStores() { host_.door().Tick(now()); }

  // Whether accesses there, in memory of a device, are to trap.
  bool IsTrap(int memory, u64 offset) const { return environment_.IsTrap(memory, offset); }

  // What becomes of a call that has to wait, where that is not EDEADLK: `wait` returns when it is
  // done, and lets other threads have their turn meanwhile.
  using Waiter = std::function<Completion(PendingCall& pending)>;
  void set_waiter(Waiter wait) { waiter_ = std::move(wait); }
  // How an access to mapped registers gets its turn, as it comes by a signal; else it has it.
  using Turn = std::function<void(const std::function<void()>& serve)>;
  void set_turn(Turn turn) { turn_ = std::move(turn); }

 private:
  // What a call comes to that has begun; `path`: by which it opens what it opens.
  Result<long> Finish(Reply reply, std::string path = {}, int flags = 0);
  const Descriptors::Shared& Find(int fd) const { return process_.descriptors.Find(fd); }
  template <class Transfer>
  Result<long> Move(int fd, bool writes, std::optional<u64> offset, u64 buffer, u64 size,
                    Transfer transfer);

  // TrapServer
  void InTurn(const std::function<void()>& serve) override { turn_ ? turn_(serve) : serve(); }
  Result<> Load(const Window& window, u64 address, std::span<std::byte> to) override;
  Result<> Store(const Window& window, u64 address, std::span<const std::byte> from) override;

  OwnEnvironment environment_;
  EmulatedHost host_;
  OwnProcess process_;
  std::optional<std::chrono::steady_clock::time_point> start_;  // of real time
  Waiter waiter_;
  Written written_;
  Turn turn_;
  Time now_{};  // virtual time
  Sockets sockets_{host_, process_, [this] { return now(); }};
  std::optional<Trapping> trapping_{std::in_place, static_cast<TrapServer&>(*this)};
};

}  // namespace vfiolab::in_process
