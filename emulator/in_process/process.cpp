#include "in_process/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "in_process/path_walk.hpp"

namespace vfiolab::in_process {
namespace {

Failure<Error> NotOurs(int fd) { return Fail(EBADF, fmt::format("descriptor {} is none", fd)); }

constexpr u64 WholePages(u64 size) { return (size + kPageSize - 1) & ~(kPageSize - 1); }

// Which thread calls is of no meaning here, but to a reader of the trace.
pid_t Tid() {
  thread_local const pid_t tid = ::gettid();
  return tid;
}

}  // namespace

Process::Process(const topology::TopologySpec& spec, std::span<const Model> models, Clock clock)
    : host_(spec, models, environment_,
            static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)))) {
  if (clock == Clock::kReal) start_ = std::chrono::steady_clock::now();
}

// Files go before the machine that they belong to, and mappings before the files.
Process::~Process() {
  while (const Window* window = windows().FirstIn(0, ~u64{0}))
    Munmap(window->first, window->last - window->first + 1).IgnoreError();
}

Time Process::now() { return start_ ? std::chrono::steady_clock::now() - *start_ : now_; }

Result<long> Process::Finish(Reply reply, std::string path, int flags) {
  if (reply.deferred() && !waiter_) {
    reply.pending()->Cancel();
    return Fail(EDEADLK, "the call waits for another one of this process");
  }
  Completion completion =
      reply.deferred() ? waiter_(*reply.pending()) : std::move(reply.completion());
  if (!completion.value || completion.opened == nullptr) return std::move(completion.value);
  if (path.empty()) flags = completion.open_flags;
  OpenDescription opened{std::move(completion.opened), std::move(path), flags};
  if (completion.descriptor == nullptr) return TRY(process_.descriptors.Add(std::move(opened)));
  return TRY(InstallCopy(completion.descriptor->get(), std::move(opened)));
}

Result<int> Process::Open(std::string_view path, int flags) {
  const Walked found = TRY(Walk(host_.root(), path, (flags & O_NOFOLLOW) == 0));
  auto* node = dynamic_cast<FileNode*>(found.node.get());
  if (node == nullptr)
    return Fail(dynamic_cast<Symlink*>(found.node.get()) != nullptr ? ELOOP : EISDIR,
                fmt::format("{} is no file", found.path));
  OwnCaller caller(process_, Tid());
  return static_cast<int>(
      TRY(Finish(host_.door().Open(now(), caller, *node, found.path, flags), found.path, flags)));
}

int Process::Install(int fd, OpenDescription opened) {
  process_.descriptors.Put(fd, std::make_shared<OpenDescription>(std::move(opened)));
  return fd;
}

void Process::Forsake() {
  process_.descriptors.Forsake();
  process_.space->windows().Remove(0, ~u64{0});
  process_.space->OpenMaps();
}

Result<int> Process::InstallCopy(int fd, OpenDescription opened) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return Fail(errno, "no descriptor is left");
  return Install(copy, std::move(opened));
}

Result<> Process::Close(int fd) {
  if (!Has(fd)) return NotOurs(fd);
  ::close(fd);
  Forget(fd);
  return {};
}

void Process::Forget(int fd) {
  if (auto file = process_.descriptors.Remove(fd)) host_.door().Release(now(), std::move(file));
}

Result<long> Process::Ioctl(int fd, u32 command, u64 argument) {
  const Descriptors::Shared opened = Find(fd);
  if (opened == nullptr) return NotOurs(fd);
  if (environment_.watches()) environment_.LookAtEventfds(host_.door(), now());
  OwnCaller caller(process_, Tid());
  return Finish(host_.door().Ioctl(now(), caller, *opened->file, command, argument));
}

// As fs/read_write.c: what the kernel checks before it asks the file, and then one part after the
// other, as our copy of the buffer is not to be as large as that.
template <class Transfer>
Result<long> Process::Move(int fd, bool writes, std::optional<u64> offset, u64 buffer, u64 size,
                           Transfer transfer) {
  constexpr u64 kEndOfAddresses = 0x7ffffffff000, kMost = 0x7ffff000, kAtOnce = 64_KiB;
  const Descriptors::Shared opened = Find(fd);
  const int unwanted = writes ? O_RDONLY : O_WRONLY;
  if (opened == nullptr || (opened->flags & O_ACCMODE) == unwanted) return NotOurs(fd);
  OpenFile& file = *opened->file;
  if (offset && !file.takes_offsets()) return Fail(ESPIPE, "the file takes no offsets");
  if (!file.can_transfer()) return Fail(EINVAL, "the file cannot be read or written");
  if (size > kEndOfAddresses || buffer > kEndOfAddresses - size)
    return Fail(EFAULT, fmt::format("{:#x} bytes at {:#x}", size, buffer));
  const u64 begin = offset.value_or(file.position());
  size = std::min(size, kMost);
  u64 done = 0;
  do {
    const u64 count = std::min(size - done, kAtOnce);
    const Result<long> moved = transfer(file, buffer + done, count, begin + done);
    if (!moved && done == 0) return moved;
    if (!moved) break;
    done += static_cast<u64>(*moved);
    if (static_cast<u64>(*moved) < count) break;
  } while (done < size);
  if (!offset) file.set_position(begin + done);
  return static_cast<long>(done);
}

Result<long> Process::Read(int fd, u64 buffer, u64 size, std::optional<u64> offset) {
  return Move(fd, false, offset, buffer, size,
              [&](OpenFile& file, u64 from, u64 count, u64 at) -> Result<long> {
                OwnBuffer caller(ClientAddress{from}, count, process_, Tid());
                const Result<long> moved =
                    Finish(host_.door().Read(now(), caller, file, caller.bytes(), at));
                // A file of text makes all its bytes at once.
                if (moved && file.is_regular())
                  TRY(caller.ToClient(caller.bytes().first(static_cast<std::size_t>(*moved))));
                const Result<> flushed = caller.Flush();
                if (moved && !flushed) return Failure{flushed.error()};
                return moved;
              });
}

Result<long> Process::Write(int fd, u64 buffer, u64 size, std::optional<u64> offset) {
  const Descriptors::Shared opened = Find(fd);
  return Move(fd, true, offset, buffer, size,
              [&](OpenFile& file, u64 from, u64 count, u64 at) -> Result<long> {
                OwnBuffer caller(ClientAddress{from}, count, process_, Tid());
                caller.Fetch();
                if (file.is_regular()) TRY(caller.FromClient(caller.bytes()));
                const Result<long> moved =
                    Finish(host_.door().Write(now(), caller, file, caller.bytes(), at));
                if (moved && file.is_regular() && written_)
                  written_(opened->path, caller.bytes(), at);
                return moved;
              });
}

Result<int> Process::OpenAnew(int fd, int flags) {
  const Descriptors::Shared opened = Find(fd);
  if (opened == nullptr) return NotOurs(fd);
  if (opened->path.empty()) return Fail(ENXIO, "the file has no name");
  return Open(opened->path, flags);
}

Result<> Process::SetAttributes(const std::string& path, std::optional<mode_t> mode,
                                DeviceNode::Owner owner) {
  const Walked found = TRY(Walk(host_.root(), path, true));
  auto* node = dynamic_cast<DeviceNode*>(found.node.get());
  if (node == nullptr) return Fail(EPERM, fmt::format("{} stays as it is", found.path));
  if (mode) node->set_permissions(*mode & 07777);
  if (owner.user) node->owner().user = owner.user;
  if (owner.group) node->owner().group = owner.group;
  return {};
}

Result<long> Process::Seek(int fd, off_t offset, int whence) {
  const Descriptors::Shared opened = Find(fd);
  if (opened == nullptr) return NotOurs(fd);
  const auto& file = opened->file;
  if (!file->is_regular()) {
    OwnCaller caller(process_, Tid());
    return Finish(host_.door().Seek(now(), caller, *file, offset, whence));
  }
  off_t from = whence == SEEK_CUR ? static_cast<off_t>(file->position()) : 0;
  if (whence == SEEK_END)
    if (const auto found = Walk(host_.root(), opened->path, true))
      from = static_cast<off_t>(found->node->size());
  if (whence < SEEK_SET || whence > SEEK_END || from + offset < 0)
    return Fail(EINVAL, fmt::format("offset {}, whence {}", offset, whence));
  file->set_position(static_cast<u64>(from + offset));
  return from + offset;
}

Result<u64> Process::Mmap(u64 address, u64 length, int protection, int flags, int fd, u64 offset) {
  const Descriptors::Shared opened = Find(fd);
  if (opened == nullptr) return NotOurs(fd);
  const auto& file = opened->file;
  if (length == 0 || offset % kPageSize != 0)
    return Fail(EINVAL, fmt::format("{:#x} bytes at {:#x}", length, offset));
  const int type = flags & MAP_TYPE;
  const bool shared = type == MAP_SHARED || type == MAP_SHARED_VALIDATE;
  const int access = opened->flags & O_ACCMODE;
  const bool writes = shared && (protection & PROT_WRITE) != 0;
  if (access == O_WRONLY || (writes && access != O_RDWR))
    return Fail(EACCES, "the file is not open for that");
  OwnCaller caller(process_, Tid());
  const u64 begins = TRY(host_.door().Mmap(
      now(), caller, *file,
      {.offset = offset, .length = WholePages(length), .shared = shared, .writes = writes}));
  const auto [memory, mapped_before, answers, all_traps] = file->shared_memory();
  const bool traps = all_traps || environment_.IsTrap(memory, begins);
  const int placement = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT);
  auto* at = reinterpret_cast<void*>(address);
  if ((flags & MAP_FIXED) != 0) BeforeUnmap(address, length);
  void* mapped = traps ? ::mmap(at, length, PROT_NONE,
                                placement | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                       : ::mmap(at, length, protection, placement | MAP_SHARED, memory,
                                static_cast<off_t>(begins));
  if (mapped == MAP_FAILED) return Fail(errno, "the host's kernel cannot map it");
  const u64 first = reinterpret_cast<u64>(mapped), last = first + WholePages(length) - 1;
  process_.space->windows().Remove(first, last);
  process_.space->windows().Add({first, last, file, begins, protection, traps});
  OnMapped(memory);
  return first;
}

void Process::BeforeUnmap(u64 address, u64 length) {
  if (length == 0 || address % kPageSize != 0) return;  // the kernel refuses it
  process_.space->OnUnmap(address, address + WholePages(length) - 1);
}

Result<> Process::Munmap(u64 address, u64 length) {
  BeforeUnmap(address, length);
  if (::munmap(reinterpret_cast<void*>(address), length) != 0)
    return Fail(errno, fmt::format("{:#x} bytes at {:#x}", length, address));
  ForgetWindows(address, length);
  return {};
}

void Process::ForgetPages(u64 address, u64 length) {
  if (length == 0 || !host_.machine().hears_unmaps()) return;
  OwnCaller caller(process_, Tid());
  host_.door().Unmap(now(), caller, ClientAddress{address}, WholePages(length));
}

void Process::ForgetWindows(u64 address, u64 length) {
  if (length == 0) return;
  ForgetPages(address, length);
  process_.space->windows().Remove(address, address + WholePages(length) - 1);
}

void Process::MoveWindows(u64 from, u64 length, u64 to, u64 new_length) {
  if (length == 0 || new_length == 0) return;
  std::vector<Window> moved;
  const u64 last = from + std::min(length, new_length) - 1;
  for (const auto& [first, window] : windows().all()) {
    if (first > last || window.last < from) continue;
    Window part = window;
    part.first = std::max(first, from);
    part.offset += part.first - first;
    part.last = std::min(window.last, last) - from + to;
    part.first = part.first - from + to;
    moved.push_back(std::move(part));
  }
  ForgetWindows(from, length);
  ForgetWindows(to, new_length);
  for (Window& window : moved) process_.space->windows().Add(std::move(window));
}

void Process::ProtectWindows(u64 address, u64 length, int protection) {
  if (length != 0)
    process_.space->windows().Protect(address, address + WholePages(length) - 1, protection);
}

Result<std::string> Process::ReadLink(std::string_view path) {
  const Walked found = TRY(Walk(host_.root(), path, false));
  const auto* link = dynamic_cast<const Symlink*>(found.node.get());
  if (link == nullptr) return Fail(EINVAL, fmt::format("{} is no link", path));
  return link->target();
}

Result<std::vector<std::string>> Process::List(std::string_view path) {
  const Walked found = TRY(Walk(host_.root(), path, true));
  const auto* directory = dynamic_cast<const Directory*>(found.node.get());
  if (directory == nullptr) return Fail(ENOTDIR, fmt::format("{} is no directory", path));
  std::vector<std::string> names;
  for (const auto& [name, node] : directory->entries()) names.push_back(name);
  return names;
}

void Process::Advance(Time by) {
  if (MemoryHasChanged()) HearStores();  // before the time that goes by now
  now_ += by;
  environment_.LookAtEventfds(host_.door(), now());
  host_.door().Tick(now());
}

Result<> Process::Load(const Window& window, u64 address, std::span<std::byte> to) {
  OwnCaller caller(process_, Tid());
  TRY(Finish(host_.door().Load(now(), caller, *window.file, to,
                               window.offset + (address - window.first))));
  return {};
}

Result<> Process::Store(const Window& window, u64 address, std::span<const std::byte> from) {
  OwnCaller caller(process_, Tid());
  TRY(Finish(host_.door().Store(now(), caller, *window.file, from,
                                window.offset + (address - window.first))));
  return {};
}

}  // namespace vfiolab::in_process
