#include "preload/host.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>

#include "fake_devices/models.hpp"
#include "lease/placeholder.hpp"
#include "lease/remote_file.hpp"
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
      journal_(tree_),
      lease_(tree_),
      owner_(lease_, &Turn::Aside),
      guests_(process_, lease_, journal_),
      process_id_(::getpid()) {
  NetlinkSocket::SetMagic(static_cast<u32>(journal_.seed()));
  process_.set_turn([this](const auto& serve) {
    if (at_work > 0) return;  // a fault of our own, while this thread has its turn
    const Turn turn(*this);
    serve();
  });
  process_.set_waiter([this](PendingCall& pending) { return WaitFor(pending); });
  process_.set_written(
      [this](const std::string& path, std::span<const std::byte> text, u64 offset) {
        if (lease_.held() && !replaying_)
          journal_.Append({.path = path, .text = {text.begin(), text.end()}, .offset = offset});
      });
  process_.descriptors().set_name([this](const in_process::OpenDescription& opened) {
    return lease::Placeholder::Of(opened, lease_.number()).Name();
  });
}

// Programs that come after each other write behind each other.
void Host::TraceTo(const char* path) {
  if (path == nullptr) return;
  UniqueFd file(::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666));
  if (file) trace_ = real(fdopen)(file.Release(), "a");
}

// What is not of the host that is alive is nobody's affair.
void Host::WriteTrace(bool on) {
  if (trace_ == nullptr) return;
  process_.host().trace().SetSink(nullptr);
  if (!on) return;
  process_.host().trace().SetSink([file = trace_](std::string_view line) {
    fmt::print(file, "{}\n", line);
    std::fflush(file);
  });
}

bool Host::ServiceIsBehind() {
  const auto next = process_.NextDeadline();
  const std::size_t watched = process_.WatchedEventfdCount() + guests_.descriptor_count();
  const bool looks = process_.maps_watched_memory();
  if (next == next_ && watched == watched_ && looks == looks_) return false;
  next_ = next, watched_ = watched, looks_ = looks;
  return true;
}

void Host::TellService() {
  if (!ServiceIsBehind()) return;
  if (!service_)
    service_.emplace([this](const auto& ready) { return Step(ready); }, [this] { return Look(); });
  else
    service_->Wake();
}

Service::Wait Host::Step(const std::vector<int>& ready) {
  const AtWork working;
  const std::lock_guard lock(mutex_);
  if (handed_over_) return {};
  process_.Advance(Time{});
  guests_.Serve(ready);
  ReturnLease();
  next_ = process_.NextDeadline();
  looks_ = process_.maps_watched_memory();
  Service::Wait wait{.left = {}, .fds = process_.WatchedEventfds(), .looks = looks_};
  guests_.AddDescriptors(wait.fds);
  watched_ = wait.fds.size();
  if (next_) wait.left = *next_ - process_.now();
  return wait;
}

Service::Seen Host::Look() {
  if (!process_.MemoryHasChanged()) return Service::Seen::kNothing;
  const AtWork working;
  const std::lock_guard lock(mutex_);
  if (handed_over_) return Service::Seen::kDue;
  process_.HearStores();
  return ServiceIsBehind() ? Service::Seen::kDue : Service::Seen::kStores;
}

Completion Host::WaitFor(PendingCall& pending) {
  if (replaying_) {
    pending.Cancel();
    return {Fail(EDEADLK, "nobody waits for what has been")};
  }
  std::optional<Completion> completion;
  const UniqueFd done(::eventfd(0, EFD_CLOEXEC));
  if (!done) {
    pending.Cancel();
    return {Fail(errno, "no descriptor is left to wait with")};
  }
  pending.OnDone([&](Completion how) {
    completion = std::move(how);
    ::eventfd_write(done.get(), 1);
  });
  TellService();
  bool interrupted = false;
  while (!completion && !interrupted) {
    Turn::Aside([&] {
      pollfd ready{done.get(), POLLIN, 0};
      interrupted = ::poll(&ready, 1, -1) < 0 && pending.interruptible();
    });
  }
  if (completion) return *std::move(completion);
  pending.Cancel();
  return {Fail(EINTR, "a signal")};
}

Host* Host::Make() {
  const AtWork working;
  const char* topology = Topology();
  const char* tree = SharedDirectory();
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
  host->Inherit(inheritance());
  if (host->process_.error().empty()) return host;
  fmt::print(stderr, "{}\n", host->process_.error());
  return nullptr;
}

namespace {

std::mutex making;
std::atomic<Host*> only{nullptr};
std::atomic<bool> made{false};

// Set in each process that knows itself; the kernel makes it 0 in a child, however that is made.
std::atomic<int>& KnowsItself() {
  static std::atomic<int> nowhere{1};
  static auto* there = [] {
    void* page =
        real(mmap)(nullptr, kPageSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const bool wiped = page != MAP_FAILED && ::madvise(page, kPageSize, MADV_WIPEONFORK) == 0;
    return wiped ? new (page) std::atomic<int>(1) : &nowhere;
  }();
  return *there;
}

}  // namespace

Host* Host::Get() {
  if (at_work > 0) return nullptr;
  if (made.load(std::memory_order_acquire)) {
    if (KnowsItself().load(std::memory_order_relaxed) == 0) InChild();
    if (made) return only.load(std::memory_order_relaxed);
  }
  const std::lock_guard lock(making);
  if (made) return only;
  static const int registered =
      ::pthread_atfork(&Host::BeforeFork, &Host::AfterFork, &Host::InChild);
  static_cast<void>(registered);
  KnowsItself() = 1;
  only = Make();
  made = true;
  return only;
}

bool Host::IsChildOfVfork() {
  const Host* host = only;
  return host != nullptr && host->process_id_ != ::getpid();
}

Host* Host::Existing() { return at_work > 0 ? nullptr : only.load(); }

// Also by a child of vfork, whose memory this is.
void Host::BeforeExec() {
  Host* host = Existing();
  if (host == nullptr) return;
  const Turn turn(*host);
  host->LendAll();
}

void Host::BeforeFork() {
  Host* host = Existing();
  if (host == nullptr) return;
  host->mutex_.lock();
  host->LendAll();
}

void Host::AfterFork() {
  Host* host = Existing();
  if (host == nullptr) return;
  host->TellService();
  host->mutex_.unlock();
}

// What of this process a child has to know.
struct Host::Inheritance {
  struct Window {
    in_process::Window window;
    u64 lease, number;
  };
  std::vector<Window> windows;
  std::map<int, std::string> directories;
  std::optional<std::string> working_directory;
};

Host::Inheritance& Host::inheritance() {
  static Inheritance all;
  return all;
}

// The child has a host of its own. What the parent's threads held is lost, too, and its memory of
// the machine is left as it is: the devices' is the parent's.
void Host::InChild() {
  KnowsItself() = 1;
  if (at_work > 0) return;  // what this library makes of itself
  new (&making) std::mutex;
  Host* parents = only.exchange(nullptr);
  made = false;
  has_windows = false;
  for (auto& kind : kind_of)
    if (kind == Kind::kFile) kind = Kind::kInherited;
  if (parents == nullptr) return;
  Inheritance& inherited = inheritance();
  inherited = {};
  parents->LeaveTo(inherited);
  if (!inherited.windows.empty()) Get();
}

void Host::LeaveTo(Inheritance& child) {
  const AtWork working;
  for (const auto& [first, window] : process_.windows().all()) {
    if (!window.traps) continue;
    if (const auto* remote = dynamic_cast<const lease::RemoteFile*>(window.file.get()))
      child.windows.push_back({window, remote->lease(), remote->number()});
    else if (const u64 number = guests_.lent().NumberOf(*window.file))
      child.windows.push_back({window, lease_.number(), number});
  }
  child.directories = directories_;
  child.working_directory = working_directory_;
  process_.StopTrapping();
  guests_.Leave();
  lease_.Forget();
  owner_.Forget();
}

void Host::Inherit(Inheritance& from) {
  directories_ = std::move(from.directories);
  if (from.working_directory) working_directory_ = std::move(from.working_directory);
  for (auto& [window, lease, number] : from.windows) {
    window.file = std::make_shared<lease::RemoteFile>(
        owner_, lease::FileFacts{.lease = lease, .file = number});
    process_.AddWindow(std::move(window));
    has_windows = true;
  }
  from = {};
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
  if (full.ends_with('/')) full += '.';  // a link is followed there
  CatchUp();
  if (auto own = OwnPath(process_.host().root(), full)) return {true, *std::move(own)};
  return {false, *path == '/' ? "" : full};
}

}  // namespace vfiolab::preload
