#include "preload/host.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>

#include "fake_devices/models.hpp"
#include "plugins/load_plugin.hpp"
#include "preload/real.hpp"
#include "topology/load.hpp"

namespace vfiolab::preload {
namespace {

namespace fs = std::filesystem;

// Whether this thread is at work for the host: then its own calls are the real host's.
thread_local int at_work = 0;
struct AtWork {
  AtWork() { ++at_work; }
  ~AtWork() { --at_work; }
};

}  // namespace

// One thread at a time has its call made.
class Host::Turn {
 public:
  explicit Turn(Host& host) : host_(host), lock_(host.mutex_) { current = &lock_; }
  ~Turn() {
    host_.TellService();
    current = nullptr;
  }
  inline static thread_local std::unique_lock<std::mutex>* current = nullptr;

 private:
  Host& host_;
  AtWork at_work_;
  std::unique_lock<std::mutex> lock_;
};

Host::Host(const topology::TopologySpec& spec, std::string tree)
    : tree_(std::move(tree)),
      process_(spec, fake_devices::Models(), in_process::Process::Clock::kReal),
      process_id_(::getpid()) {
  process_.set_turn([this](const auto& access) {
    const Turn turn(*this);
    access();
  });
  process_.set_waiter([this](PendingCall& pending) { return WaitFor(pending); });
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
  const char* topology = ::getenv("VFIOLAB_TOPOLOGY");
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

std::optional<std::string> Host::OwnPath(int directory, const char* path) {
  if (path == nullptr || *path == '\0') return std::nullopt;
  std::string full = path;
  if (*path != '/') {
    const Turn turn(*this);
    if (directory == AT_FDCWD) {
      if (!working_directory_) return std::nullopt;
      full = *working_directory_ + "/" + path;
    } else {
      const auto known = directories_.find(directory);
      if (known == directories_.end()) return std::nullopt;
      full = known->second + "/" + path;
    }
  } else if (!MayBeOwn(path)) {
    return std::nullopt;
  }
  const Turn turn(*this);
  return preload::OwnPath(*process_.host().root(), full);
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
  const std::string& path = process_.PathOf(fd);
  // Of a file that has no node: fs/libfs.c anon_inode_setattr.
  if (path.empty()) return Fail(EOPNOTSUPP, "the file has no node");
  return process_.SetAttributes(path, mode, owner);
}

Result<> Host::Close(int fd) {
  const Turn turn(*this);
  // A child of vfork, which has the memory of its parent, but not its descriptors.
  if (::getpid() != process_id_ || !process_.Has(fd)) {
    if (::getpid() == process_id_) kind_of[static_cast<std::size_t>(fd)] = Kind::kNone;
    return real(close)(fd) == 0 ? Result<>{} : Fail(errno, "close");
  }
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

void Host::RefreshLimits() {
  const Turn turn(*this);
  process_.RefreshLimits();
}

Result<in_process::Walked> Host::Find(const std::string& path, bool follow) {
  return in_process::Walk(process_.host().root(), path, follow);
}

// What /sys says of a node of /dev.
dev_t Host::NumberOf(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  for (const std::string& place : {"/sys/class/vfio/" + name, "/sys/class/misc/" + name,
                                   "/sys/devices/virtual/misc/" + name}) {
    const auto fd = process_.Open(place + "/dev", O_RDONLY);
    if (!fd) continue;
    char text[64] = {};
    const auto size = process_.Read(*fd, reinterpret_cast<u64>(text), sizeof text - 1);
    process_.Close(*fd).IgnoreError();
    unsigned first = 0, second = 0;
    if (size && std::sscanf(text, "%u:%u", &first, &second) == 2) return makedev(first, second);
  }
  constexpr unsigned kMisc = 10, kVfio = 196;  // linux/miscdevice.h
  return name == "vfio" ? makedev(kMisc, kVfio) : makedev(0, 0);
}

Result<struct stat> Host::StatNode(const in_process::Walked& found) {
  struct stat attributes {};
  attributes.st_mode = found.node->mode();
  attributes.st_size = static_cast<off_t>(found.node->size());
  attributes.st_nlink = S_ISDIR(attributes.st_mode) ? 2 : 1;
  attributes.st_uid = ::geteuid();
  attributes.st_gid = ::getegid();
  attributes.st_blksize = kPageSize;
  attributes.st_ino = reinterpret_cast<ino_t>(found.node.get());
  attributes.st_dev = makedev(0, 0xf0f0);
  if (const auto* device = dynamic_cast<const DeviceNode*>(found.node.get())) {
    attributes.st_uid = device->owner().user.value_or(attributes.st_uid);
    attributes.st_gid = device->owner().group.value_or(attributes.st_gid);
    attributes.st_mode = S_IFCHR | (attributes.st_mode & 07777);
    attributes.st_rdev = NumberOf(found.path);
  }
  return attributes;
}

Result<struct stat> Host::Stat(const std::string& path, bool follow) {
  const Turn turn(*this);
  return StatNode(TRY(Find(path, follow)));
}

Result<struct stat> Host::StatDescriptor(int fd) {
  TRY(CheckHere(fd));
  const Turn turn(*this);
  const auto path = process_.PathOf(fd);
  if (path.starts_with('/')) return StatNode(TRY(Find(path, true)));
  // Opened by an ioctl: as an anonymous inode has it.
  struct stat attributes {};
  attributes.st_mode = 0600;
  attributes.st_nlink = 1;
  attributes.st_blksize = kPageSize;
  attributes.st_ino = 1;
  return attributes;
}

Result<std::string> Host::ReadLink(const std::string& path) {
  const Turn turn(*this);
  return process_.ReadLink(path);
}

Result<std::string> Host::RealPath(const std::string& path) {
  const Turn turn(*this);
  return TRY(Find(path, true)).path;
}

// What a name is does not matter to those who read it from the mirror: they ask here.
Result<std::string> Host::Mirror(const std::string& path) {
  const Turn turn(*this);
  const bool shared = WhoseIs(*process_.host().root(), path) == Whose::kShared;
  const in_process::Walked found = TRY(Find(path, true));
  const auto* directory = dynamic_cast<const Directory*>(found.node.get());
  if (directory == nullptr) return Fail(ENOTDIR, path + " is no directory");
  const std::string place = tree_ + found.path;
  std::error_code error;
  fs::create_directories(place, error);
  std::map<std::string, mode_t> wanted;
  if (shared)
    for (const auto& entry : fs::directory_iterator(found.path, error)) {
      const std::string name = entry.path().filename();
      if (WhoseIs(*process_.host().root(), found.path + "/" + name) == Whose::kHost)
        wanted[name] = entry.is_symlink() ? S_IFLNK : entry.is_directory() ? S_IFDIR : S_IFREG;
    }
  for (const auto& [name, node] : directory->entries()) wanted[name] = node->mode() & S_IFMT;
  for (const auto& entry : fs::directory_iterator(place, error))
    if (!wanted.contains(entry.path().filename())) fs::remove_all(entry.path(), error);
  for (const auto& [name, type] : wanted) {
    const std::string at = place + "/" + name;
    if (type == S_IFDIR)
      fs::create_directory(at, error);
    else if (type == S_IFLNK)
      fs::create_symlink("of the emulated host", at, error);
    else if (const int fd = ::open(at.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600); fd >= 0)
      ::close(fd);
  }
  return place;
}

void Host::AddDirectory(int fd, std::string path) {
  const Turn turn(*this);
  directories_[fd] = std::move(path);
  if (static_cast<std::size_t>(fd) < kMostDescriptors)
    kind_of[static_cast<std::size_t>(fd)] = Kind::kDirectory;
}

void Host::SetWorkingDirectory(std::optional<std::string> path) {
  const Turn turn(*this);
  working_directory_ = std::move(path);
}

std::optional<std::string> Host::WorkingDirectory() {
  const Turn turn(*this);
  return working_directory_;
}

void Host::Forget(int fd) {
  const auto at = static_cast<std::size_t>(fd);
  if (at >= kMostDescriptors || kind_of[at] != Kind::kDirectory) return;
  kind_of[at] = Kind::kNone;
  if (Host* host = Get()) {
    const Turn turn(*host);
    host->directories_.erase(fd);
  }
}

}  // namespace vfiolab::preload
