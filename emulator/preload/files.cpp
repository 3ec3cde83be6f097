// Calls on open files of the emulated host.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lease/remote_file.hpp"
#include "preload/real.hpp"
#include "preload/turn.hpp"

namespace vfiolab::preload {

Result<int> Host::Opened(int fd, int flags) {
  if (static_cast<std::size_t>(fd) >= kMostDescriptors) {
    process_.Close(fd).IgnoreError();
    return Fail(EMFILE, "too many descriptors");
  }
  if ((flags & O_CLOEXEC) == 0) real(fcntl)(fd, F_SETFD, 0);
  if ((flags & O_NONBLOCK) != 0) real(fcntl)(fd, F_SETFL, O_NONBLOCK);
  kind_of[static_cast<std::size_t>(fd)] = Kind::kFile;
  return fd;
}

Result<int> Host::Open(const std::string& path, int flags) {
  const Turn turn(*this);
  return Opened(TRY(OpenHere(path, flags)), flags);
}

Result<int> Host::OpenAnew(int fd, int flags) {
  const Turn turn(*this);
  TRY(Learn(fd));
  const std::string path = process_.PathOf(fd);
  if (path.empty()) return Fail(ENXIO, "the file has no name");
  return Opened(TRY(OpenHere(path, flags)), flags);
}

Result<> Host::SetAttributes(const std::string& path, std::optional<mode_t> mode,
                             DeviceNode::Owner owner) {
  const Turn turn(*this);
  return SetPathAttributes(path, mode, owner);
}

Result<> Host::SetAttributes(int fd, std::optional<mode_t> mode, DeviceNode::Owner owner) {
  const Turn turn(*this);
  TRY(Learn(fd));
  const std::string path = process_.PathOf(fd);
  // Of a file that has no node: fs/libfs.c anon_inode_setattr.
  if (path.empty()) return Fail(EOPNOTSUPP, "the file has no node");
  return SetPathAttributes(path, mode, owner);
}

// A child of vfork has the memory of its parent, but not its descriptors.
Result<> Host::Close(int fd) {
  if (::getpid() != process_id_ || handed_over_)
    return real(close)(fd) == 0 ? Result<>{} : Fail(errno, "close");
  const Turn turn(*this);
  DeliverInTurn(fd).IgnoreError();
  kind_of[static_cast<std::size_t>(fd)] = Kind::kNone;
  const Result<> closed = process_.Close(fd);
  guests_.ReleaseReturned();
  ReturnLease();
  return closed;
}

void Host::Detach(int fd) {
  if (::getpid() != process_id_ || handed_over_) return;
  const Turn turn(*this);
  DeliverInTurn(fd).IgnoreError();
  const UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  if (real(dup3)(nothing.get(), fd, O_CLOEXEC) < 0) return;
  kind_of[static_cast<std::size_t>(fd)] = Kind::kNone;
  process_.Forget(fd);
  guests_.ReleaseReturned();
  ReturnLease();
}

Result<int> Host::Duplicate(int fd, int to, int least, bool close_on_exec) {
  const Turn turn(*this);
  TRY(Learn(fd));
  const int made = to >= 0 ? real(dup3)(fd, to, close_on_exec ? O_CLOEXEC : 0)
                           : real(fcntl)(fd, close_on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, least);
  if (made < 0) return Fail(errno, fmt::format("descriptor {} cannot be duplicated", fd));
  if (::getpid() != process_id_) return made;
  process_.Share(fd, made);
  if (made == STDIN_FILENO) Fill(made);
  kind_of[static_cast<std::size_t>(made)] = Kind::kFile;
  return made;
}

bool Host::IsText(int fd) {
  const Turn turn(*this);
  const auto opened = Learn(fd) ? process_.descriptors().Find(fd) : nullptr;
  return opened != nullptr && opened->file->is_regular();
}

// A file that an ioctl has opened is without O_LARGEFILE, which open() adds.
int Host::StatusFlags(int fd, int kernels) {
  const Turn turn(*this);
  const auto opened = Learn(fd) ? process_.descriptors().Find(fd) : nullptr;
  if (opened == nullptr) return kernels;
  constexpr int kLargeFile = 0100000, kKinds = O_ACCMODE | O_PATH;
  const int flags = (kernels & ~kKinds) | (opened->flags & kKinds);
  return opened->file->has_node() ? flags : flags & ~kLargeFile;
}

Result<long> Host::Ioctl(int fd, u32 command, u64 argument) {
  const Turn turn(*this);
  TRY(Learn(fd));
  const long value = TRY(process_.Ioctl(fd, command, argument));
  // It may be the number of a file that the call has opened.
  const int opened = value < static_cast<long>(kMostDescriptors) ? static_cast<int>(value) : -1;
  if (opened > 0 && KindOf(opened) == Kind::kNone && process_.Has(opened))
    return TRY(Opened(opened, process_.descriptors().Find(opened)->flags));
  return value;
}

// A file of text says the same with the next machine as with the one that has gone.
template <class Move>
Result<long> Host::AlsoAnew(int fd, Move move) {
  Result<long> moved = move();
  const auto* remote = RemoteAt(fd);
  if (moved || remote == nullptr || !remote->is_regular() || !remote->gone()) return moved;
  const auto opened = process_.descriptors().Find(fd);
  const u64 position = opened->file->position();
  const int made = TRY(OpenHere(opened->path, opened->flags & ~(O_CREAT | O_EXCL | O_TRUNC)));
  Replace(fd, made);
  process_.descriptors().Find(fd)->file->set_position(position);
  return move();
}

Result<long> Host::Read(int fd, u64 buffer, u64 size, std::optional<u64> offset) {
  const Turn turn(*this);
  TRY(Learn(fd));
  return AlsoAnew(fd, [&] { return process_.Read(fd, buffer, size, offset); });
}

Result<long> Host::Write(int fd, u64 buffer, u64 size, std::optional<u64> offset) {
  const Turn turn(*this);
  TRY(Learn(fd));
  return AlsoAnew(fd, [&] { return process_.Write(fd, buffer, size, offset); });
}

Result<> Host::Deliver(int fd) {
  const Turn turn(*this);
  TRY(Learn(fd));
  return DeliverInTurn(fd);
}

Result<> Host::DeliverInTurn(int fd) {
  const auto opened = process_.descriptors().Find(fd);
  struct stat found {};
  if (opened == nullptr || !opened->file->is_regular() || (opened->flags & O_ACCMODE) == O_RDONLY ||
      real(fstat)(fd, &found) != 0 || found.st_size == 0)
    return {};
  std::string text(static_cast<std::size_t>(found.st_size), '\0');
  const ssize_t size = real(pread)(fd, text.data(), text.size(), 0);
  static_cast<void>(::ftruncate(fd, 0));
  real(lseek)(fd, 0, SEEK_SET);
  if (size <= 0) return {};
  TRY(process_.Write(fd, reinterpret_cast<u64>(text.data()), static_cast<u64>(size)));
  return {};
}

void Host::Fill(int fd) {
  const auto opened = process_.descriptors().Find(fd);
  struct stat found {};
  if (opened == nullptr || !opened->file->is_regular() || (opened->flags & O_ACCMODE) != O_RDONLY ||
      real(fstat)(fd, &found) != 0 || found.st_size != 0)
    return;
  std::string text(64_KiB, '\0');
  const auto size = process_.Read(fd, reinterpret_cast<u64>(text.data()), text.size(), 0);
  if (size) static_cast<void>(real(pwrite)(fd, text.data(), static_cast<std::size_t>(*size), 0));
}

Result<long> Host::Seek(int fd, off_t offset, int whence) {
  const Turn turn(*this);
  TRY(Learn(fd));
  return process_.Seek(fd, offset, whence);
}

Result<u64> Host::Mmap(u64 address, u64 length, int protection, int flags, int fd, u64 offset) {
  const Turn turn(*this);
  TRY(Learn(fd));
  const u64 at = TRY(process_.Mmap(address, length, protection, flags, fd, offset));
  has_windows = true;
  const auto& opened = process_.descriptors().Find(fd);
  Kept& kept = kept_[opened->file.get()];
  if (!kept.fd) kept = {opened, UniqueFd(real(fcntl)(fd, F_DUPFD_CLOEXEC, 0))};
  return at;
}

void Host::TellOwnerOfUnmap(u64 address, u64 length) {
  if (!lease_.held() && length != 0 && process_.host().machine().hears_unmaps())
    owner_.Unmap(address, length).IgnoreError();
}

void Host::ForgetPages(u64 address, u64 length) {
  const Turn turn(*this);
  TellOwnerOfUnmap(address, length);
  process_.ForgetPages(address, length);
}

// Without a host there is no device that would reach it.
void Host::BeforeUnmap(u64 address, u64 length) {
  if (!MayBePinned(address, length)) return;
  Host* host = Existing() == nullptr ? nullptr : Get();
  if (host == nullptr) return;
  const Turn turn(*host);
  host->process_.BeforeUnmap(address, length);
}

void Host::ForgetWindows(u64 address, u64 length) {
  const Turn turn(*this);
  TellOwnerOfUnmap(address, length);
  process_.ForgetWindows(address, length);
  LetGoOfUnmapped();
  guests_.ReleaseReturned();
  ReturnLease();
}

bool Host::HasWindow(u64 address, u64 length) {
  const Turn turn(*this);
  return length != 0 && process_.windows().FirstIn(address, address + length - 1) != nullptr;
}

void Host::MoveWindows(u64 from, u64 length, u64 to, u64 new_length) {
  if (from == to)
    return length > new_length ? ForgetWindows(from + new_length, length - new_length) : void();
  const Turn turn(*this);
  TellOwnerOfUnmap(from, length);
  TellOwnerOfUnmap(to, new_length);
  process_.MoveWindows(from, length, to, new_length);
  LetGoOfUnmapped();
}

void Host::LetGoOfUnmapped() {
  for (auto it = kept_.begin(); it != kept_.end();) {
    const auto at = it++;
    if (process_.windows().Has(*at->first)) continue;
    const auto opened = std::move(at->second.opened);
    kept_.erase(at);
    if (opened.use_count() == 1)
      process_.host().door().Release(process_.now(), std::move(opened->file));
  }
}

// What is memory of the kernel's it protects; registers stay out of reach.
Result<> Host::Protect(u64 address, u64 length, int protection) {
  const Turn turn(*this);
  const auto* window = process_.FindWindow(address);
  if (window == nullptr || !window->traps)
    if (real(mprotect)(reinterpret_cast<void*>(address), length, protection) != 0)
      return Fail(errno, "mprotect");
  process_.ProtectWindows(address, length, protection);
  return {};
}

void Host::RefreshLimits() {
  const Turn turn(*this);
  process_.RefreshLimits();
}

std::optional<long> Host::Send(const SocketCall& call) {
  const Turn turn(*this);
  if (!TakeLease()) return owner_.Send(call);
  const auto sent = process_.sockets().Send(call);
  ReturnLease();
  return sent;
}

Result<long> Host::ReceiveNow(const SocketCall& call, unsigned index) {
  const AtWork working;
  return process_.sockets().ReceiveNow(call, index);
}

void Host::AddGenericNetlink(int fd) {
  if (static_cast<std::size_t>(fd) < kMostDescriptors)
    kind_of[static_cast<std::size_t>(fd)] = Kind::kGenericNetlink;
}

void Host::Share(int fd, int made) {
  if (made < 0) return;
  const Kind kind = KindOf(fd);
  if (kind == Kind::kGenericNetlink) AddGenericNetlink(made);
  Host* host = kind == Kind::kDirectory ? Get() : nullptr;
  if (host == nullptr) return;
  std::string path;
  {
    const Turn turn(*host);
    path = host->directories_[fd];
  }
  host->AddDirectory(made, std::move(path));
}

void Host::Forget(int fd) {
  const Kind kind = KindOf(fd);
  if (kind == Kind::kNone || kind == Kind::kFile || kind == Kind::kOwn || IsChildOfVfork()) return;
  kind_of[static_cast<std::size_t>(fd)] = Kind::kNone;
  if (Host* host = kind == Kind::kDirectory ? Get() : nullptr) {
    const Turn turn(*host);
    host->directories_.erase(fd);
  }
}

}  // namespace vfiolab::preload
