#include "transport/file_calls.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>

#include "transport/register_file.hpp"

namespace vfiolab {
namespace {

// Whether a thread is about to end because its process does: the kernel sends SIGKILL to each.
bool IsDying(pid_t tid) {
  std::FILE* status = std::fopen(("/proc/" + std::to_string(tid) + "/status").c_str(), "re");
  if (status == nullptr) return true;
  char line[256];
  unsigned long long signals = 0, pending = 0;
  while (std::fgets(line, sizeof line, status) != nullptr)
    if (std::sscanf(line, "SigPnd: %llx", &signals) == 1 ||
        std::sscanf(line, "ShdPnd: %llx", &signals) == 1)
      pending |= signals;
  std::fclose(status);
  return (pending >> (SIGKILL - 1) & 1) != 0;
}

}  // namespace

FileCalls::FileCalls(EventLoop& loop)
    : loop_(loop),
      mms_(loop.turn(), *this),
      services_{loop.turn(), mms_, *this, false, {}, {}},
      deaths_(loop.context()) {}

void FileCalls::OnCall(pid_t tid) {
  constexpr u64 kCallsBetweenLooks = 256;
  if (calls_++ % kCallsBetweenLooks == 8) placement_.Follow(tid);
}

void FileCalls::StayAwake() {
  constexpr std::chrono::microseconds kMost{500};  // then timers and others have their turn
  const std::chrono::microseconds patience{placement_.spin() ? 50 : 0};
  const auto start = std::chrono::steady_clock::now();
  auto last = start, now = start;
  while (now - last <= patience && now - start < kMost && !Turn::lost()) {
    const bool took = std::ranges::any_of(takers_, [](const auto& take) { return take(); });
    now = std::chrono::steady_clock::now();
    if (took) last = now;
  }
}

u64 FileCalls::Add(std::shared_ptr<OpenFile> file) {
  services_.traced.clear();
  open_files_.emplace(++last_handle_, std::move(file));
  most_open_ = std::max(most_open_, open_files_.size());
  return last_handle_;
}

std::shared_ptr<OpenFile> FileCalls::Find(u64 handle) const {
  const auto it = open_files_.find(handle);
  return it == open_files_.end() ? nullptr : it->second;
}

std::shared_ptr<OpenFile> FileCalls::Take(u64 handle) {
  auto opened = open_files_.extract(handle);
  return opened.empty() ? nullptr : std::move(opened.mapped());
}

void FileCalls::Release(std::shared_ptr<OpenFile> file) {
  if (file == nullptr) return;
  mms_.DropIdle();
  loop_.door().Release(loop_.Now(), std::move(file));
  // A client may have had very many: what they took goes back to the host.
  constexpr std::size_t kMany = 1024;
  if (most_open_ < kMany || open_files_.size() > most_open_ / 8) return;
  most_open_ = open_files_.size();
  ::malloc_trim(0);
}

Reply FileCalls::Open(pid_t tid, FileNode& node, std::string_view path, int flags) {
  Caller caller(services_, tid);
  Reply reply = loop_.door().Open(loop_.Now(), caller, node, path, flags);
  if (reply.deferred()) return Fail(EAGAIN, "no node of ours defers its open");
  return reply;
}

bool FileCalls::Begin(const std::shared_ptr<Request>& request, Request::Kind kind, u64 handle) {
  OnCall(request->tid());
  request->kind_ = kind;
  request->file_ = Find(handle);
  if (request->file_ == nullptr) {
    if (request->Claim()) request->AnswerError(EBADF);
    return false;
  }
  return true;
}

void FileCalls::Finish(const std::shared_ptr<Request>& request, Reply reply) {
  if (!reply.deferred()) {
    Send(*request, reply.completion());
    return;
  }
  auto pending = reply.pending();
  pending->OnDone([this, request](Completion completion) {
    if (!completion.data.empty()) request->data_ = std::move(completion.data);
    Send(*request, completion);
  });
  const auto end = [request, pending] {
    pending->Cancel();
    if (request->Claim()) request->AnswerError(EINTR);
  };
  waiting_[request->key()] = {end, request->tid(), pending->interruptible()};
  request->ExpectInterrupt();
}

void FileCalls::Interrupt(const Request::Key& key) {
  const auto it = waiting_.find(key);
  if (it == waiting_.end()) return;
  if (!it->second.ended_by_signals && !IsDying(it->second.tid)) {
    it->second.was_interrupted = true;
    WaitForDeaths();
    return;
  }
  const auto entry = waiting_.extract(it);
  entry.mapped().end();
}

// The kernel tells of the first signal alone, not of a later one that kills.
void FileCalls::WaitForDeaths() {
  constexpr std::chrono::milliseconds kBetweenLooks{100};
  if (std::exchange(waits_for_deaths_, true)) return;
  deaths_.expires_after(kBetweenLooks);
  deaths_.async_wait([this](const boost::system::error_code& error) {
    waits_for_deaths_ = false;
    if (error) return;
    std::vector<Request::Key> interrupted;
    for (const auto& [key, call] : waiting_)
      if (call.was_interrupted) interrupted.push_back(key);
    for (const Request::Key& key : interrupted) Interrupt(key);
  });
}

void FileCalls::Send(Request& request, Completion& completion) {
  // Whoever still keeps the request must not keep the file open.
  request.file_.reset();
  if (!request.Claim()) return;
  waiting_.erase(request.key());
  const Result<long>& value = completion.value;
  if (request.kind_ == Request::Kind::kIoctl) {
    // An errno goes into the result: as an error of the request ENOSYS would become ENOTTY.
    request.AnswerIoctl(value ? static_cast<int>(*value) : -value.error().code);
  } else if (!value) {
    request.AnswerError(value.error().code);
  } else if (request.kind_ == Request::Kind::kRead) {
    request.AnswerRead(std::span{request.data_}.first(static_cast<std::size_t>(*value)));
  } else {
    request.AnswerWrite(static_cast<std::size_t>(*value));
  }
}

void FileCalls::Read(const std::shared_ptr<Request>& request, std::size_t size, u64 offset,
                     u64 handle) {
  if (!Begin(request, Request::Kind::kRead, handle)) return;
  const Turn::Call call(loop_.turn(), request);
  request->data_.resize(size);
  if (auto* registers = dynamic_cast<RegisterFile*>(request->file_.get()))
    return Finish(request, registers->Load(request->data_, offset));
  Caller caller(services_, request->tid());
  Finish(request, loop_.door().Read(loop_.Now(), caller, *request->file_, request->data_, offset));
}

void FileCalls::Write(const std::shared_ptr<Request>& request, std::span<const std::byte> from,
                      u64 offset, u64 handle) {
  if (!Begin(request, Request::Kind::kWrite, handle)) return;
  const Turn::Call call(loop_.turn(), request);
  if (auto* registers = dynamic_cast<RegisterFile*>(request->file_.get()))
    return Finish(request, registers->Store(from, offset));
  Caller caller(services_, request->tid());
  Finish(request, loop_.door().Write(loop_.Now(), caller, *request->file_, from, offset));
}

void FileCalls::Ioctl(const std::shared_ptr<Request>& request, u32 command, u64 argument,
                      u64 handle) {
  if (!Begin(request, Request::Kind::kIoctl, handle)) return;
  const Turn::Call call(loop_.turn(), request);
  Caller caller(services_, request->tid());
  Reply reply = loop_.door().Ioctl(loop_.Now(), caller, *request->file_, command, argument);
  if (!reply.deferred() && reply.completion().opened) {
    // A request cannot put a descriptor into the caller: the launcher's notifier does.
    reply = Fail(EOPNOTSUPP, "the ioctl returns a descriptor: start the client with vfiolab run");
  }
  Finish(request, std::move(reply));
}

Result<std::shared_ptr<OpenFile>> FileCalls::FindOpenFile(pid_t tid, int fd) {
  const struct statx found = TRY(StatDescriptor(tid, fd));
  for (OpenFileSource* source : sources_)
    if (source->Owns(found)) {
      if (IsPathOnly(tid, fd)) return Fail(EBADF, fmt::format("descriptor {} is a path", fd));
      return source->Find(tid, fd, found);
    }
  return std::shared_ptr<OpenFile>();
}

MappedKind FileCalls::KindOf(dev_t device, ino_t inode) {
  for (OpenFileSource* source : sources_) {
    const auto file = source->FindMapped(device, inode);
    if (file == nullptr || file->shared_memory().fd < 0) continue;
    return file->shared_memory().answers ? MappedKind::kBar : MappedKind::kSilentBar;
  }
  return MappedKind::kOrdinary;
}

}  // namespace vfiolab
