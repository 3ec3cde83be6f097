#include "process/mm.hpp"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>

#include "base/trace.hpp"
#include "process/guarded_copy.hpp"

namespace vfiolab {
namespace {

constexpr std::size_t kMostWindows = 64;
constexpr ino_t kInitialUserNamespace = 0xeffffffd;  // PROC_USER_INIT_INO

std::string ProcPath(pid_t id, std::string_view what) {
  return fmt::format("/proc/{}/{}", id, what);
}

bool ReadRemote(Turn& turn, pid_t tid, u64 from, void* to, std::size_t count) {
  if (turn.IsCutOff(tid)) return false;
  const iovec local{to, count};
  const iovec remote{reinterpret_cast<void*>(from), count};
  const Turn::ClientAccess access(turn, tid);
  return ::process_vm_readv(tid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(count);
}

// Where the auxiliary vector of `tid` says the image's random bytes are; 0 when it does not.
u64 FindMarkAddress(pid_t tid) {
  const UniqueFd fd(::open(ProcPath(tid, "auxv").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<Elf64_auxv_t, 64> entries{};
  if (!fd || ::read(fd.get(), entries.data(), sizeof entries) <= 0) return 0;
  const auto it = std::ranges::find(entries, u64{AT_RANDOM}, &Elf64_auxv_t::a_type);
  return it == entries.end() ? 0 : it->a_un.a_val;
}

}  // namespace

// capable(CAP_IPC_LOCK): the capability counts in the initial user namespace only.
bool MayLockAll(pid_t process) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, process};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> capabilities{};
  if (::syscall(SYS_capget, &header, capabilities.data()) != 0 ||
      (capabilities[0].effective >> CAP_IPC_LOCK & 1) == 0)
    return false;
  struct stat user_namespace {};
  return ::stat(ProcPath(process, "ns/user").c_str(), &user_namespace) == 0 &&
         user_namespace.st_ino == kInitialUserNamespace;
}

Result<std::shared_ptr<Mm>> Mm::Open(Turn& turn, MappedFiles& files, pid_t tid, pid_t process) {
  ExpectFaults();  // of windows
  std::shared_ptr<Mm> mm(new Mm(turn, files, process));
  mm->mem_.Reset(::open(ProcPath(tid, "mem").c_str(), O_RDWR | O_CLOEXEC));
  if (!mm->mem_ && (errno == EMFILE || errno == ENFILE))
    return Fail(ENOMEM, fmt::format("no descriptor is left for the memory of thread {}", tid));
  if (!mm->mem_)
    return Fail(errno == ENOENT ? ESRCH : EACCES,
                fmt::format("memory of thread {}: {}; the emulator needs CAP_SYS_PTRACE over its "
                            "client, or the same user and kernel.yama.ptrace_scope=0",
                            tid, ErrnoName(errno)));
  mm->maps_.Reset(::open(ProcPath(tid, "maps").c_str(), O_RDONLY | O_CLOEXEC));
  mm->mark_.address = FindMarkAddress(tid);
  if (!mm->maps_ || mm->mark_.address == 0 ||
      !ReadRemote(turn, tid, mm->mark_.address, mm->mark_.bytes, sizeof mm->mark_.bytes))
    return Fail(ESRCH, fmt::format("the image of thread {} is gone", tid));
  return mm;
}

Mm::Window::~Window() { ::munmap(here, vma.last - vma.first + 1); }

bool Mm::StillBelongsTo(pid_t tid) const {
  ImageMark now{mark_.address, {}};
  return ReadRemote(turn_, tid, now.address, now.bytes, sizeof now.bytes) && now == mark_ &&
         VmaAt(0);
}

// A thread that is about to map something holds up whoever asks what is mapped, for as long as it
// waits: for an answer from here, it may be.
Result<Vma> Mm::VmaAt(u64 at) const {
  if (turn_.IsCutOff(process_)) return Fail(EFAULT, "the client was cut off");
  const Turn::ClientAccess access(turn_, process_);
  return FindVma(maps_.get(), at);
}

template <class Move>
bool Mm::ForEachPart(u64 at, std::size_t count, bool write, Move move) {
  std::size_t done = 0;
  while (done < count) {
    const std::shared_ptr<Window> window = WindowFor(at + done);
    if (turn_.IsCutOff(process_)) return false;
    std::size_t length = count - done;
    std::byte* here = nullptr;
    if (window != nullptr) {
      length = std::min<std::size_t>(length, window->vma.last - (at + done) + 1);
      if (!write || window->vma.writable) here = window->here + (at + done - window->vma.first);
    }
    const Turn::ClientAccess access(turn_, process_);
    const ssize_t moved = move(here, done, length);
    if (moved <= 0) return false;
    done += static_cast<std::size_t>(moved);
  }
  return true;
}

bool Mm::Read(ClientAddress from, std::span<std::byte> to) {
  return ForEachPart(
      Raw(from), to.size(), false, [&](std::byte* here, std::size_t done, std::size_t n) {
        if (here != nullptr && GuardedCopy(to.data() + done, here, n))
          return static_cast<ssize_t>(n);
        return ::pread(mem_.get(), to.data() + done, n, static_cast<off_t>(Raw(from) + done));
      });
}

bool Mm::Write(ClientAddress to, std::span<const std::byte> from) {
  return ForEachPart(
      Raw(to), from.size(), true, [&](std::byte* here, std::size_t done, std::size_t n) {
        if (here != nullptr && GuardedCopy(here, from.data() + done, n))
          return static_cast<ssize_t>(n);
        return ::pwrite(mem_.get(), from.data() + done, n, static_cast<off_t>(Raw(to) + done));
      });
}

Result<u64, AddressSpace::Unpinnable> Mm::CheckPinnable(ClientAddress start, u64 length,
                                                        Permissions wanted) {
  u64 at = Raw(start), counted = length;
  const auto stop = [&](const std::string& why) {
    return Failure{Unpinnable{at - Raw(start) - (length - counted), Error{EFAULT, why}}};
  };
  const u64 last = at + (length - 1);
  not_shared_first_ = 1, not_shared_last_ = 0;  // mappings may have changed since
  while (true) {
    const Result<Vma> vma = VmaAt(at);
    if (!vma || vma->first > at) return stop(fmt::format("{:#x} is not mapped", at));
    // GUP asks for VM_WRITE alone when the device writes (mm/gup.c check_vma_flags).
    if (wanted.write ? !vma->writable : !vma->readable)
      return stop(fmt::format("{:#x}-{:#x} does not allow {}", vma->first, vma->last,
                              wanted.write ? "writing" : "reading"));
    std::erase_if(windows_, [&](const std::shared_ptr<Window>& window) {
      const Vma& old = window->vma;
      const bool same = old.first == vma->first && old.last == vma->last &&
                        old.inode == vma->inode && old.device == vma->device &&
                        old.offset == vma->offset && old.writable == vma->writable;
      return old.first <= vma->last && vma->first <= old.last && !same;
    });
    const MappedKind kind = vma->shared && vma->inode != 0 ? files_.KindOf(vma->device, vma->inode)
                                                           : MappedKind::kOrdinary;
    if (kind == MappedKind::kSilentBar)
      return stop(fmt::format("{:#x}-{:#x} is a BAR that does not answer", vma->first, vma->last));
    // Shared memory is held, as if it were pinned: the client may unmap it, or end.
    if (kind == MappedKind::kOrdinary && vma->shared && windows_.size() < kMostWindows)
      WindowFor(at);
    if (kind == MappedKind::kBar) counted -= std::min(vma->last, last) - at + 1;
    if (vma->last >= last) return counted;
    at = vma->last + 1;
  }
}

Result<> Mm::ChargeLocked(u64 pages) {
  if (pages == 0) return {};
  rlimit limit{};
  // The capability is looked up last: clients may give it up, and few ever come to their limit.
  if (::prlimit(process_, RLIMIT_MEMLOCK, nullptr, &limit) == 0 &&
      limit.rlim_cur != RLIM_INFINITY && locked_pages_ + pages > limit.rlim_cur / kPageSize &&
      !MayLockAll(process_))
    return Fail(ENOMEM, fmt::format("{} pages more than RLIMIT_MEMLOCK allows ({} of {} in use)",
                                    pages, locked_pages_, limit.rlim_cur / kPageSize));
  locked_pages_ += pages;
  return {};
}

std::shared_ptr<Mm::Window> Mm::WindowFor(u64 at) {
  for (const auto& window : windows_)
    if (window->vma.first <= at && at <= window->vma.last) return window;
  if (not_shared_first_ <= at && at <= not_shared_last_) return nullptr;
  const Result<Vma> vma = VmaAt(at);
  if (!vma || vma->first > at) return nullptr;
  if (vma->shared && vma->inode != 0)
    if (auto window = OpenWindow(*vma)) {
      if (windows_.size() == kMostWindows) windows_.erase(windows_.begin());
      return windows_.emplace_back(std::move(window));
    }
  not_shared_first_ = vma->first, not_shared_last_ = vma->last;
  return nullptr;
}

std::shared_ptr<Mm::Window> Mm::OpenWindow(const Vma& vma) const {
  if (turn_.IsCutOff(process_)) return nullptr;
  const Turn::ClientAccess access(turn_, process_);  // the file may be of any file system
  const UniqueFd name(
      ::open(fmt::format("/proc/{}/map_files/{:x}-{:x}", process_, vma.first, vma.last + 1).c_str(),
             O_PATH | O_CLOEXEC));
  struct stat found {};
  struct statfs system {};
  // The path speaks of whatever the pid runs now: only the same file will do. A window of what a
  // process serves could not be let go without waiting for that process.
  if (!name || ::fstat(name.get(), &found) != 0 || ::fstatfs(name.get(), &system) != 0 ||
      found.st_ino != vma.inode || found.st_dev != vma.device || system.f_type == FUSE_SUPER_MAGIC)
    return nullptr;
  const UniqueFd file(::open(fmt::format("/proc/self/fd/{}", name.get()).c_str(),
                             (vma.writable ? O_RDWR : O_RDONLY) | O_CLOEXEC));
  void* here =
      ::mmap(nullptr, vma.last - vma.first + 1, PROT_READ | (vma.writable ? PROT_WRITE : 0),
             MAP_SHARED, file.get(), static_cast<off_t>(vma.offset));
  if (here == MAP_FAILED) return nullptr;
  return std::make_shared<Window>(vma, static_cast<std::byte*>(here));
}

Result<std::shared_ptr<Mm>> MmCache::Find(pid_t tid) {
  constexpr std::size_t kMostEntries = 4096;
  auto known = processes_.find(tid);
  const bool still_there =
      known != processes_.end() &&
      (known->second == tid ||
       ::access(fmt::format("/proc/{}/task/{}", known->second, tid).c_str(), F_OK) == 0);
  if (!still_there) {
    const pid_t process = ThreadGroupOf(tid);
    if (process == 0) return Fail(ESRCH, fmt::format("thread {} is gone", tid));
    if (processes_.size() >= kMostEntries) processes_.clear();
    known = processes_.insert_or_assign(tid, process).first;
  }
  const pid_t process = known->second;
  if (const auto it = by_process_.find(process); it != by_process_.end())
    if (auto mm = it->second.lock(); mm && mm->StillBelongsTo(tid)) return latest_ = mm;
  auto mm = TRY(Mm::Open(turn_, files_, tid, process));
  std::erase_if(by_process_, [](const auto& entry) { return entry.second.expired(); });
  by_process_[process] = mm;
  return latest_ = mm;
}

}  // namespace vfiolab
