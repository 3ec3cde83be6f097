// The emulated host as it goes from process to process.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include "lease/placeholder.hpp"
#include "lease/remote_file.hpp"
#include "preload/real.hpp"
#include "preload/turn.hpp"
#include "process/thread_status.hpp"

namespace vfiolab::preload {

// ---- The lease ----

bool Host::TakeLease() {
  if (lease_.held()) return true;
  if (!lease_.Take()) return false;
  CatchUp();
  guests_.lent().Begin();
  WriteTrace(true);
  return true;
}

void Host::ReturnLease() {
  if (!lease_.held() || process_.descriptors().count() > 0 || !process_.windows().empty() ||
      !guests_.idle())
    return;
  WriteTrace(false);
  guests_.Leave();
  process_.OnAllUnmapped();
  lease_.Return();
}

void Host::CatchUp() {
  if (lease_.held() && caught_up_ == lease_.number()) return;
  caught_up_ = lease_.number();
  journal_.Read([this](const lease::Journal::Entry& entry) { Apply(entry); });
}

// What does not work any more does not matter: it has worked, and something else has come of it.
void Host::Apply(const lease::Journal::Entry& entry) {
  if (entry.is_attributes)
    return process_.SetAttributes(entry.path, entry.mode, entry.owner).IgnoreError();
  replaying_ = true;
  if (const auto fd = process_.Open(entry.path, O_WRONLY)) {
    process_.Write(*fd, reinterpret_cast<u64>(entry.text.data()), entry.text.size(), entry.offset)
        .IgnoreError();
    process_.Close(*fd).IgnoreError();
  }
  replaying_ = false;
}

// One that has the lease may return it while it is being asked.
Result<int> Host::OpenHere(const std::string& path, int flags) {
  has_windows = has_windows || process_.host().machine().hears_unmaps();
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    if (TakeLease()) {
      auto fd = process_.Open(path, flags);
      if (!fd) ReturnLease();
      return fd;
    }
    auto opened = owner_.Open(path, flags);
    if (opened && opened->descriptor && *opened->descriptor)
      return process_.InstallCopy(opened->descriptor->get(),
                                  {std::move(opened->opened), path, flags});
    if (!opened && opened.error().code != lease::Owner::kGone) return Failure{opened.error()};
  }
  return Fail(ENODEV, "there is no machine any more, or it goes from process to process");
}

Result<> Host::SetPathAttributes(const std::string& path, std::optional<mode_t> mode,
                                 DeviceNode::Owner owner) {
  if (!TakeLease()) {
    const auto changed = owner_.SetAttributes(path, mode, owner);
    if (changed || changed.error().code != lease::Owner::kGone || !TakeLease()) return changed;
  }
  const auto changed = process_.SetAttributes(path, mode, owner);
  if (changed)
    journal_.Append(
        {.path = path, .text = {}, .is_attributes = true, .mode = mode, .owner = owner});
  ReturnLease();
  return changed;
}

// ---- Descriptors that come from others, and go to them ----

Result<> Host::Learn(int fd) { return KindOf(fd) == Kind::kInherited ? Adopt(fd) : Result<>{}; }

namespace {

// What the C library has written by itself.
void CopyWritten(int from, int to) {
  char bytes[4096];
  off_t at = 0;
  for (ssize_t size = 0; (size = real(pread)(from, bytes, sizeof bytes, at)) > 0; at += size)
    static_cast<void>(real(pwrite)(to, bytes, static_cast<std::size_t>(size), at));
}

}  // namespace

Result<> Host::Adopt(int fd) {
  const auto found = lease::Placeholder::Of(::gettid(), fd);
  if (!found) return Fail(ENODEV, fmt::format("descriptor {} is of nobody", fd));
  if (!found->path.empty()) {
    const int made = TRY(OpenHere(found->path, found->flags & ~(O_CREAT | O_EXCL | O_TRUNC)));
    process_.descriptors().Find(made)->file->set_position(
        static_cast<u64>(real(lseek)(fd, 0, SEEK_CUR)));
    if ((found->flags & O_ACCMODE) != O_RDONLY) CopyWritten(fd, made);
    Replace(fd, made);
    if (fd == STDIN_FILENO) Fill(fd);
  } else if (lease_.held() && found->lease == lease_.number()) {
    const auto opened = guests_.lent().Find(found->number);
    if (opened == nullptr) return Fail(ENODEV, fmt::format("descriptor {} is closed", fd));
    process_.descriptors().Put(fd, opened);
  } else {
    TRY(AdoptFromOwner(fd, *found));
  }
  kind_of[static_cast<std::size_t>(fd)] = Kind::kFile;
  return {};
}

void Host::Replace(int fd, int made) {
  const bool closes = (real(fcntl)(fd, F_GETFD) & FD_CLOEXEC) != 0;
  real(dup3)(made, fd, closes ? O_CLOEXEC : 0);
  process_.Share(made, fd);
  process_.Close(made).IgnoreError();
}

Result<> Host::AdoptFromOwner(int fd, const lease::Placeholder& found) {
  // It may be another number of one that is known.
  for (const int other : process_.descriptors().numbers())
    if (const auto* remote = RemoteAt(other);
        remote != nullptr && remote->lease() == found.lease && remote->number() == found.number) {
      process_.Share(other, fd);
      return {};
    }
  std::string path;
  int flags = 0;
  auto file = owner_.Find(found.lease, found.number, path, flags);
  if (!file) {
    lease::SayGone();
    return Fail(ENODEV, fmt::format("descriptor {} went with another process", fd));
  }
  process_.Install(fd, {std::move(*file), std::move(path), flags});
  return {};
}

lease::RemoteFile* Host::RemoteAt(int fd) {
  const auto& opened = process_.descriptors().Find(fd);
  return opened == nullptr ? nullptr : dynamic_cast<lease::RemoteFile*>(opened->file.get());
}

// Files of text are opened anew by who gets them: the kernel keeps their position.
void Host::LendAll() {
  for (const int fd : process_.descriptors().numbers()) LendOne(fd);
  if (!lease_.held()) return;
  for (const auto& [file, kept] : kept_)
    if (dynamic_cast<const lease::RemoteFile*>(file) == nullptr)
      guests_.lent().Add(kept.opened, kept.fd.get());
}

void Host::LendOne(int fd) {
  const auto opened = process_.descriptors().Find(fd);
  if (opened == nullptr) return;
  if (opened->file->is_regular()) {
    Fill(fd);
    real(lseek)(fd, static_cast<off_t>(opened->file->position()), SEEK_SET);
  } else if (lease_.held() && RemoteAt(fd) == nullptr) {
    guests_.lent().Add(opened, fd);
  }
}

void Host::Lend(int fd) {
  const Turn turn(*this);
  LendOne(fd);
}

void Host::AddInherited(int fd) {
  if (static_cast<std::size_t>(fd) >= kMostDescriptors || KindOf(fd) != Kind::kNone) return;
  if (lease::Placeholder::Of(::gettid(), fd))
    kind_of[static_cast<std::size_t>(fd)] = Kind::kInherited;
  else if (in_process::Sockets::IsGeneric(fd))
    AddGenericNetlink(fd);
}

namespace {

// What the program before this one has left open.
__attribute__((constructor)) void LookAround() {
  if (Host::SharedDirectory() == nullptr) return;
  const AtWork working;
  for (const int fd : NumbersIn("/proc/self/fd")) Host::AddInherited(fd);
}

}  // namespace
}  // namespace vfiolab::preload
