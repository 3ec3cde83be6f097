#include "in_process/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include "in_process/path_walk.hpp"

namespace vfiolab::in_process {
namespace {

Failure<Error> NotOurs(int fd) { return Fail(EBADF, fmt::format("descriptor {} is none", fd)); }

constexpr u64 WholePages(u64 size) { return (size + kPageSize - 1) & ~(kPageSize - 1); }

}  // namespace

Process::Process(const topology::TopologySpec& spec, std::span<const Model> models)
    : host_(spec, models, environment_, 1), tid_(::gettid()) {}

// Files go before the machine that they belong to, and mappings before the files.
Process::~Process() {
  while (const Window* window = windows().FirstIn(0, ~u64{0}))
    Munmap(window->first, window->last - window->first + 1).IgnoreError();
}

Result<long> Process::Finish(Reply reply) {
  if (reply.deferred()) {
    reply.pending()->Cancel();
    return Fail(EDEADLK, "the call waits for another one of this process");
  }
  Completion& completion = reply.completion();
  if (!completion.value || completion.opened == nullptr) return std::move(completion.value);
  return TRY(process_.descriptors.Add(std::move(completion.opened)));
}

Result<int> Process::Open(std::string_view path, int flags) {
  const Walked found = TRY(Walk(host_.root(), path, (flags & O_NOFOLLOW) == 0));
  auto* node = dynamic_cast<FileNode*>(found.node.get());
  if (node == nullptr)
    return Fail(dynamic_cast<Symlink*>(found.node.get()) != nullptr ? ELOOP : EISDIR,
                fmt::format("{} is no file", found.path));
  OwnCaller caller(process_, tid_);
  return static_cast<int>(TRY(Finish(host_.door().Open(now_, caller, *node, found.path, flags))));
}

Result<> Process::Close(int fd) {
  auto file = process_.descriptors.Remove(fd);
  if (file == nullptr) return NotOurs(fd);
  host_.door().Release(now_, std::move(file));
  return {};
}

Result<long> Process::Ioctl(int fd, u32 command, u64 argument) {
  const auto& file = Find(fd);
  if (file == nullptr) return NotOurs(fd);
  if (environment_.watches()) environment_.LookAtEventfds(host_.door(), now_);
  OwnCaller caller(process_, tid_);
  return Finish(host_.door().Ioctl(now_, caller, *file, command, argument));
}

template <class Transfer>
Result<long> Process::Move(int fd, std::optional<u64> offset, Transfer transfer) {
  const auto& file = Find(fd);
  if (file == nullptr) return NotOurs(fd);
  if (!file->can_transfer()) return Fail(EINVAL, "the file cannot be read or written");
  if (offset && !file->takes_offsets()) return Fail(ESPIPE, "the file takes no offsets");
  const long moved = TRY(transfer(*file, offset.value_or(file->position())));
  if (!offset) file->set_position(file->position() + static_cast<u64>(moved));
  return moved;
}

Result<long> Process::Read(int fd, u64 buffer, u64 size, std::optional<u64> offset) {
  return Move(fd, offset, [&](OpenFile& file, u64 at) -> Result<long> {
    OwnBuffer caller(ClientAddress{buffer}, size, process_, tid_);
    const Result<long> moved = Finish(host_.door().Read(now_, caller, file, caller.bytes(), at));
    // A file of text makes all its bytes at once.
    if (moved && file.is_regular())
      TRY(caller.ToClient(caller.bytes().first(static_cast<std::size_t>(*moved))));
    const Result<> flushed = caller.Flush();
    if (moved && !flushed) return Failure{flushed.error()};
    return moved;
  });
}

Result<long> Process::Write(int fd, u64 buffer, u64 size, std::optional<u64> offset) {
  return Move(fd, offset, [&](OpenFile& file, u64 at) -> Result<long> {
    OwnBuffer caller(ClientAddress{buffer}, size, process_, tid_);
    caller.Fetch();
    if (file.is_regular()) TRY(caller.FromClient(caller.bytes()));
    return Finish(host_.door().Write(now_, caller, file, caller.bytes(), at));
  });
}

Result<long> Process::Seek(int fd, off_t offset, int whence) {
  const auto& file = Find(fd);
  if (file == nullptr) return NotOurs(fd);
  if (!file->is_regular()) {
    OwnCaller caller(process_, tid_);
    return Finish(host_.door().Seek(now_, caller, *file, offset, whence));
  }
  const off_t from = whence == SEEK_CUR ? static_cast<off_t>(file->position()) : 0;
  if ((whence != SEEK_SET && whence != SEEK_CUR) || from + offset < 0)
    return Fail(EINVAL, fmt::format("offset {}, whence {}", offset, whence));
  file->set_position(static_cast<u64>(from + offset));
  return from + offset;
}

Result<u64> Process::Mmap(u64 address, u64 length, int protection, int flags, int fd, u64 offset) {
  const auto& file = Find(fd);
  if (file == nullptr) return NotOurs(fd);
  if (length == 0 || offset % kPageSize != 0)
    return Fail(EINVAL, fmt::format("{:#x} bytes at {:#x}", length, offset));
  const int type = flags & MAP_TYPE;
  const bool shared = type == MAP_SHARED || type == MAP_SHARED_VALIDATE;
  OwnCaller caller(process_, tid_);
  const u64 begins = TRY(host_.door().Mmap(now_, caller, *file,
                                           {.offset = offset,
                                            .length = WholePages(length),
                                            .shared = shared,
                                            .writes = shared && (protection & PROT_WRITE) != 0}));
  const int memory = file->shared_memory().fd;
  const bool traps = environment_.IsTrap(memory, begins);
  const int placement = flags & (MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_32BIT);
  auto* at = reinterpret_cast<void*>(address);
  void* mapped = traps ? ::mmap(at, length, PROT_NONE,
                                placement | MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
                       : ::mmap(at, length, protection, placement | MAP_SHARED, memory,
                                static_cast<off_t>(begins));
  if (mapped == MAP_FAILED) return Fail(errno, "the host's kernel cannot map it");
  const u64 first = reinterpret_cast<u64>(mapped), last = first + WholePages(length) - 1;
  process_.space->windows().Remove(first, last);
  process_.space->windows().Add({first, last, file, begins, protection, traps});
  return first;
}

Result<> Process::Munmap(u64 address, u64 length) {
  if (host_.machine().hears_unmaps() && length != 0) {
    OwnCaller caller(process_, tid_);
    host_.door().Unmap(now_, caller, ClientAddress{address}, WholePages(length));
  }
  if (::munmap(reinterpret_cast<void*>(address), length) != 0)
    return Fail(errno, fmt::format("{:#x} bytes at {:#x}", length, address));
  process_.space->windows().Remove(address, address + WholePages(length) - 1);
  return {};
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
  now_ += by;
  environment_.LookAtEventfds(host_.door(), now_);
  host_.door().Tick(now_);
}

Result<> Process::Load(const Window& window, u64 address, std::span<std::byte> to) {
  OwnCaller caller(process_, tid_);
  TRY(Finish(
      host_.door().Load(now_, caller, *window.file, to, window.offset + (address - window.first))));
  return {};
}

Result<> Process::Store(const Window& window, u64 address, std::span<const std::byte> from) {
  OwnCaller caller(process_, tid_);
  TRY(Finish(host_.door().Store(now_, caller, *window.file, from,
                                window.offset + (address - window.first))));
  return {};
}

}  // namespace vfiolab::in_process
