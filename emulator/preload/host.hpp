// The emulated host as the threads of this process see it: their system calls on paths and
// descriptors of it come here. Of all processes below `vfiolab run` one at a time has the host that
// is alive; in the others it tells what paths name.
#pragma once
#include <stdlib.h>
#include <sys/stat.h>

#include <array>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>

#include "lease/guests.hpp"
#include "lease/placeholder.hpp"
#include "lease/remote_file.hpp"
#include "preload/own_paths.hpp"
#include "preload/service.hpp"

namespace vfiolab::preload {

// Results are as those of system calls: a value, or an errno.
class Host {
 public:
  // Null where there is none: outside of `vfiolab run`, and while this library is at work itself.
  static Host* Get();
  // The topology's path, and the directory that all processes share; null outside of `vfiolab run`.
  static const char* Topology() { return ::getenv("VFIOLAB_TOPOLOGY"); }
  static const char* SharedDirectory() { return ::getenv("VFIOLAB_MIRROR"); }
  // The same for a descriptor: null, too, when it is not the emulated host's. Costs a few
  // nanoseconds.
  static Host* Of(int fd) { return IsFile(KindOf(fd)) ? Get() : nullptr; }
  // The same of a directory of the mirror.
  static Host* OfDirectory(int fd) { return KindOf(fd) == Kind::kDirectory ? Get() : nullptr; }
  static bool IsGenericNetlink(int fd) { return KindOf(fd) == Kind::kGenericNetlink; }
  // The same of a socket of generic netlink.
  static Host* OfGenericNetlink(int fd) { return IsGenericNetlink(fd) ? Get() : nullptr; }
  static void AddGenericNetlink(int fd);
  // Of this library itself: it is nobody else's to close.
  static bool IsOwn(int fd) { return KindOf(fd) == Kind::kOwn; }
  static void SetOwn(int fd, bool own);
  // A descriptor has come from another process, or has been there from the start.
  static void AddInherited(int fd);
  // The same where files of devices may be mapped; else null.
  static Host* WithWindows() {
    return has_windows.load(std::memory_order_relaxed) ? Get() : nullptr;
  }
  class Turn;
  static constexpr std::size_t LastDescriptor() { return kMostDescriptors - 1; }

  // Where a path leads that a call is given; `directory` is a descriptor, or AT_FDCWD.
  struct Place {
    bool is_own = false;  // on the emulated host
    std::string path;     // in full; empty: as it was given
  };
  Place Locate(int directory, const char* path);

  Result<int> Open(const std::string& path, int flags);
  Result<int> OpenAnew(int fd, int flags);
  // By a path, or of a descriptor.
  Result<> SetAttributes(const std::string& path, std::optional<mode_t> mode,
                         DeviceNode::Owner owner);
  Result<> SetAttributes(int fd, std::optional<mode_t> mode, DeviceNode::Owner owner);
  Result<> Close(int fd);
  // The same, but the number is taken until whoever does not know of us closes it.
  void Detach(int fd);
  // `to` < 0: any number from `least` on.
  Result<int> Duplicate(int fd, int to, int least, bool close_on_exec);
  // Whether it is a file of text.
  bool IsText(int fd);
  // How it was opened; what fcntl(F_GETFL) says of `kernels`, the file that keeps its number.
  int StatusFlags(int fd, int kernels);
  Result<long> Ioctl(int fd, u32 command, u64 argument);
  Result<long> Read(int fd, u64 buffer, u64 size, std::optional<u64> offset = {});
  Result<long> Write(int fd, u64 buffer, u64 size, std::optional<u64> offset = {});
  // Writes what the C library has written by itself to a file of text.
  Result<> Deliver(int fd);
  Result<long> Seek(int fd, off_t offset, int whence);
  Result<u64> Mmap(u64 address, u64 length, int protection, int flags, int fd, u64 offset);
  // Memory of this process is about to go, or another to come in its place.
  static void BeforeUnmap(u64 address, u64 length);
  // Whether that may come to anything.
  static bool MayBePinned(u64 address, u64 length) {
    return in_process::Pins::MayBeIn(address, address + (length - 1));
  }
  // It has gone, or another has come in its place.
  void ForgetWindows(u64 address, u64 length);
  // The memory is still there, but what was in it has gone.
  void ForgetPages(u64 address, u64 length);
  bool HasWindow(u64 address, u64 length);
  // mremap has made one of the other.
  void MoveWindows(u64 from, u64 length, u64 to, u64 new_length);
  // mprotect.
  Result<> Protect(u64 address, u64 length, int protection);
  void RefreshLimits();

  // Calls on sockets of generic netlink, as in_process/sockets.hpp has them.
  std::optional<long> Send(const SocketCall& call);
  Result<long> ReceiveNow(const SocketCall& call, unsigned index);

  Result<struct stat> Stat(const std::string& path, bool follow);
  Result<struct stat> StatDescriptor(int fd);
  Result<std::string> ReadLink(const std::string& path);
  Result<std::string> RealPath(const std::string& path);
  // A directory of the real host with the names of that of the emulated one, and what stands for
  // the path there.
  Result<std::string> Mirror(const std::string& path);
  // Whether both hosts have the directory.
  bool IsShared(const std::string& path);
  // Remembers that a descriptor is of a directory of the mirror.
  void AddDirectory(int fd, std::string path);
  // Nothing: it is one of the real host.
  void SetWorkingDirectory(std::optional<std::string> path);
  std::optional<std::string> WorkingDirectory();
  // `made` is a number that the kernel has made of `fd`, which is no file of ours.
  static void Share(int fd, int made);
  // Other processes are about to get the descriptor.
  void Lend(int fd);
  // Another program is about to come in the place of this one, or of a child; this one is about to
  // end.
  static void BeforeExec();
  static void BeforeEnd();
  // It has not come to that.
  static void AfterAll();
  // A descriptor has gone that is no file of this process.
  static void Forget(int fd);

 private:
  // Inherited: a file of which this process does not know yet what it is.
  enum class Kind : char { kNone, kFile, kInherited, kDirectory, kGenericNetlink, kOwn };
  static constexpr std::size_t kMostDescriptors = 1 << 16;
  inline static std::array<std::atomic<Kind>, kMostDescriptors> kind_of{};
  static Kind KindOf(int fd) {
    const auto at = static_cast<std::size_t>(fd);
    return at < kMostDescriptors ? kind_of[at].load(std::memory_order_relaxed) : Kind::kNone;
  }
  static bool IsFile(Kind kind) { return kind == Kind::kFile || kind == Kind::kInherited; }
  inline static std::atomic<bool> has_windows{false};

  // Learns what an inherited descriptor is. ENODEV: it went with the process that had it.
  Result<> Learn(int fd);
  Result<> Adopt(int fd);
  // `fd` becomes what `made` is, which goes.
  void Replace(int fd, int made);
  Result<> AdoptFromOwner(int fd, const lease::Placeholder& found);
  // Whether this process has the host that is alive, now or already.
  bool TakeLease();
  void ReturnLease();
  // Does what others have written down meanwhile.
  void CatchUp();
  void Apply(const lease::Journal::Entry& entry);
  void LendAll();
  void LetGoOfUnmapped();
  void TellOwnerOfUnmap(u64 address, u64 length);
  void HandOver();
  [[noreturn]] void TakeCare();
  // The one that there is already; null: none, or it is at work.
  static Host* Existing();
  void LendOne(int fd);
  // Lets the C library read by itself what a file of text says.
  void Fill(int fd);
  Result<> DeliverInTurn(int fd);
  lease::RemoteFile* RemoteAt(int fd);
  static bool IsChildOfVfork();
  template <class Move>
  Result<long> AlsoAnew(int fd, Move move);
  // Opens in this process or in the one that has the host.
  Result<int> OpenHere(const std::string& path, int flags);
  Result<> SetPathAttributes(const std::string& path, std::optional<mode_t> mode,
                             DeviceNode::Owner owner);
  Result<int> Opened(int fd, int flags);
  Host(const topology::TopologySpec& spec, std::string tree);
  static Host* Make();
  Result<struct stat> StatNode(const in_process::Walked& found);
  dev_t NumberOf(const std::string& path);
  Result<in_process::Walked> Find(const std::string& path, bool follow);

  void TraceTo(const char* path);
  void WriteTrace(bool on);
  // After a call: the service may have to look earlier than it knows of.
  void TellService();
  // Whether there is something else to wait for than the service knows of; it will.
  bool ServiceIsBehind();
  Service::Seen Look();
  Service::Wait Step(const std::vector<int>& ready);
  Completion WaitFor(PendingCall& pending);
  static void BeforeFork();
  static void AfterFork();
  static void InChild();
  struct Inheritance;
  static Inheritance& inheritance();
  void LeaveTo(Inheritance& child);
  void Inherit(Inheritance& from);

  std::mutex mutex_;
  std::string tree_;  // of the mirror
  FILE* trace_ = nullptr;
  in_process::Process process_;
  lease::Journal journal_;
  lease::Lease lease_;
  lease::Owner owner_;
  lease::Guests guests_;
  std::map<int, std::string> directories_;
  // Files that are mapped: a mapping has its file open as much as a descriptor, also in children.
  struct Kept {
    in_process::Descriptors::Shared opened;
    UniqueFd fd;
  };
  std::map<const OpenFile*, Kept> kept_;
  std::optional<std::string> working_directory_;
  pid_t process_id_;
  u64 caught_up_ = 0;         // in which lease
  bool handed_over_ = false;  // a copy of this process has the lease
  bool replaying_ = false;    // what another process has done
  std::optional<Time> next_;  // what the service waits for
  std::size_t watched_ = 0;
  bool looks_ = false;
  std::optional<Service> service_;
};

}  // namespace vfiolab::preload
