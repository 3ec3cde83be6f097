#include "preload/host.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>

#include "fake_devices/models.hpp"
#include "plugins/load_plugin.hpp"
#include "preload/real.hpp"
#include "preload/turn.hpp"
#include "topology/load.hpp"

namespace vfiolab::preload {
namespace {

namespace fs = std::filesystem;

}  // namespace

Host::Host(const topology::TopologySpec& spec, std::string tree)
    : tree_(std::move(tree)),
      process_(spec, fake_devices::Models(), in_process::Process::Clock::kReal),
      process_id_(::getpid()) {
  process_.set_turn([this](const auto& serve) {
    if (at_work > 0) return;  // a fault of our own, while this thread has its turn
    const Turn turn(*this);
    serve();
  });
  process_.set_waiter([this](PendingCall& pending) { return WaitFor(pending); });
}

// Programs that come after each other write behind each other.
void Host::TraceTo(const char* path) {
  FILE* file = path == nullptr ? nullptr : real(fopen)(path, "ae");
  if (file == nullptr) return;
  process_.host().trace().SetSink([file](std::string_view line) {
    fmt::print(file, "{}\n", line);
    std::fflush(file);
  });
}

void Host::TellService() {
  const auto next = process_.NextDeadline();
  const std::size_t watched = process_.WatchedEventfdCount();
  if (next == next_ && watched == watched_) return;
  next_ = next, watched_ = watched;
  if (!service_)
    service_.emplace([this] { return Step(); });
  else
    service_->Wake();
}

Service::Wait Host::Step() {
  const AtWork working;
  const std::lock_guard lock(mutex_);
  process_.Advance(Time{});
  next_ = process_.NextDeadline();
  Service::Wait wait{.left = {}, .eventfds = process_.WatchedEventfds()};
  watched_ = wait.eventfds.size();
  if (next_) wait.left = *next_ - process_.now();
  return wait;
}

Completion Host::WaitFor(PendingCall& pending) {
  std::optional<Completion> completion;
  pending.OnDone([&](Completion done) {
    completion = std::move(done);
    done_.notify_all();
  });
  TellService();
  done_.wait(*Turn::current, [&] { return completion.has_value(); });
  return *std::move(completion);
}

Host* Host::Make() {
  const AtWork working;
  const char* topology = Topology();
  const char* tree = ::getenv("VFIOLAB_MIRROR");
  if (topology == nullptr || tree == nullptr) return nullptr;
  const auto spec = topology::LoadFile(topology, fake_devices::Models(), plugins::LoadPlugin);
  if (!spec) {
    fmt::print(stderr, "{}\n", topology::ToString(spec.error()));
    return nullptr;
  }
  auto* host = new Host(*spec, tree);  // lives as long as the process
  // Where the program before it in this process went.
  std::error_code error;
  const std::string here = fs::current_path(error);
  if (here.starts_with(host->tree_ + "/"))
    host->working_directory_ = here.substr(host->tree_.size());
  if (here == "/") host->working_directory_ = "";
  if (MayBeOwn(here) && WhoseIs(*host->process_.host().root(), here) == Whose::kShared)
    host->working_directory_ = here;
  host->TraceTo(::getenv("VFIOLAB_TRACE"));
  if (host->process_.error().empty()) return host;
  fmt::print(stderr, "{}\n", host->process_.error());
  return nullptr;
}

namespace {

std::mutex making;
std::atomic<Host*> only{nullptr};
std::atomic<bool> made{false};

}  // namespace

Host* Host::Get() {
  if (at_work > 0) return nullptr;
  if (made.load(std::memory_order_acquire)) return only.load(std::memory_order_relaxed);
  const std::lock_guard lock(making);
  if (made) return only;
  static const int registered = ::pthread_atfork(nullptr, nullptr, &Host::OnFork);
  static_cast<void>(registered);
  only = Make();
  made = true;
  return only;
}

// The child has a host of its own, when it wants one. What the parent's threads held is lost, too.
void Host::OnFork() {
  new (&making) std::mutex;
  only = nullptr;
  made = false;
  has_windows = false;
  for (auto& kind : kind_of)
    if (kind == Kind::kFile) kind = Kind::kLost;
}

Host::Place Host::Locate(int directory, const char* path) {
  if (path == nullptr || *path == '\0') return {};
  std::string full = path;
  const Turn turn(*this);
  if (*path != '/') {
    const auto known = directories_.find(directory);
    if (directory != AT_FDCWD && known == directories_.end()) return {};
    if (directory == AT_FDCWD && !working_directory_) return {};
    full = (directory == AT_FDCWD ? *working_directory_ : known->second) + "/" + path;
  }
  if (!MayBeOwn(full)) return {};
  if (auto own = OwnPath(process_.host().root(), full)) return {true, *std::move(own)};
  return {false, *path == '/' ? "" : full};
}

Result<> Host::CheckHere(int fd) {
  if (kind_of[static_cast<std::size_t>(fd)] != Kind::kLost) return {};
  static std::atomic<bool> said{false};
  if (!said.exchange(true))
    fmt::print(stderr,
               "vfiolab: descriptor {} of process {} is of a machine in another process, which "
               "--in-process does not reach\n",
               fd, ::getpid());
  return Fail(ENODEV, fmt::format("descriptor {} is of another process", fd));
}

Result<int> Host::Opened(int fd, int flags) {
  if (static_cast<std::size_t>(fd) >= kMostDescriptors) {
    process_.Close(fd).IgnoreError();
    return Fail(EMFILE, "too many descriptors");
  }
  if ((flags & O_CLOEXEC) == 0) real(fcntl)(fd, F_SETFD, 0);
  kind_of[static_cast<std::size_t>(fd)] = Kind::kFile;
  return fd;
}

Result<int> Host::Open(const std::string& path, int flags) {
  const Turn turn(*this);
  return Opened(TRY(process_.Open(path, flags)), flags);
}

Result<int> Host::OpenAnew(int fd, int flags) {
  TRY(CheckHere(fd));
  const Turn turn(*this);
  return Opened(TRY(process_.OpenAnew(fd, flags)), flags);
}

Result<> Host::SetAttributes(const std::string& path, std::optional<mode_t> mode,
                             DeviceNode::Owner owner) {
  const Turn turn(*this);
  return process_.SetAttributes(path, mode, owner);
}

Result<> Host::SetAttributes(int fd, std::optional<mode_t> mode, DeviceNode::Owner owner) {
  TRY(CheckHere(fd));
  const Turn turn(*this);
  const std::string path = process_.PathOf(fd);
  // Of a file that has no node: fs/libfs.c anon_inode_setattr.
  if (path.empty()) return Fail(EOPNOTSUPP, "the file has no node");
  return process_.SetAttributes(path, mode, owner);
}

Result<> Host::Close(int fd) {
  const Turn turn(*this);
  // A child of vfork, which has the memory of its parent, but not its descriptors.
  if (::getpid() != process_id_) return real(close)(fd) == 0 ? Result<>{} : Fail(errno, "close");
  kind_of[static_cast<std::size_t>(fd)] = Kind::kNone;
  return process_.Close(fd);
}

Result<int> Host::Duplicate(int fd, int to, int least, bool close_on_exec) {
  TRY(CheckHere(fd));
  const Turn turn(*this);
  const int made = to >= 0 ? real(dup3)(fd, to, close_on_exec ? O_CLOEXEC : 0)
                           : real(fcntl)(fd, close_on_exec ? F_DUPFD_CLOEXEC : F_DUPFD, least);
  if (made < 0) return Fail(errno, fmt::format("descriptor {} cannot be duplicated", fd));
  process_.Share(fd, made);
  kind_of[static_cast<std::size_t>(made)] = Kind::kFile;
  return made;
}

Result<long> Host::Ioctl(int fd, u32 command, u64 argument) {
  TRY(CheckHere(fd));
  const Turn turn(*this);
  const long value = TRY(process_.Ioctl(fd, command, argument));
  // It may be the number of a file that the call has opened.
  if (value > 0 && value < static_cast<long>(kMostDescriptors) &&
      process_.Has(static_cast<int>(value)))
    kind_of[static_cast<std::size_t>(value)] = Kind::kFile;
  return value;
}

Result<long> Host::Read(int fd, u64 buffer, u64 size, std::optional<u64> offset) {
  TRY(CheckHere(fd));
  const Turn turn(*this);
  return process_.Read(fd, buffer, size, offset);
}

Result<long> Host::Write(int fd, u64 buffer, u64 size, std::optional<u64> offset) {
  TRY(CheckHere(fd));
  const Turn turn(*this);
  return process_.Write(fd, buffer, size, offset);
}

Result<long> Host::Seek(int fd, off_t offset, int whence) {
  TRY(CheckHere(fd));
  const Turn turn(*this);
  return process_.Seek(fd, offset, whence);
}

Result<u64> Host::Mmap(u64 address, u64 length, int protection, int flags, int fd, u64 offset) {
  TRY(CheckHere(fd));
  const Turn turn(*this);
  const u64 at = TRY(process_.Mmap(address, length, protection, flags, fd, offset));
  has_windows = true;
  return at;
}

void Host::ForgetWindows(u64 address, u64 length) {
  const Turn turn(*this);
  process_.ForgetWindows(address, length);
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
  return process_.sockets().Send(call);
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
  if (kind == Kind::kNone || kind == Kind::kFile) return;
  kind_of[static_cast<std::size_t>(fd)] = Kind::kNone;
  if (Host* host = kind == Kind::kDirectory ? Get() : nullptr) {
    const Turn turn(*host);
    host->directories_.erase(fd);
  }
}

}  // namespace vfiolab::preload
