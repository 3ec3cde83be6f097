#include "transport/fuse_operations.hpp"

#include <signal.h>
#include <sys/stat.h>

#include <cstdio>

#include "transport/fuse_kernel.hpp"

namespace vfiolab {
namespace {

// Names that may go are looked up each time, others seldom. Attributes of a device node never
// change, and stat must not ask this thread for them; those of other files seldom do.
constexpr double kRemembered = 1.0;
constexpr double kForever = 1e9;

FuseServer& ServerOf(fuse_req_t req) { return *static_cast<FuseServer*>(fuse_req_userdata(req)); }

bool IsDeviceNode(const Node& node) { return dynamic_cast<const DeviceNode*>(&node) != nullptr; }

pid_t TidOf(fuse_req_t req) { return fuse_req_ctx(req)->pid; }

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

void FuseServer::Fill(const FuseInodes::Inode& inode, struct stat& attributes) const {
  attributes = {};
  attributes.st_ino = inode.number;
  attributes.st_mode = inode.node->mode();
  attributes.st_nlink = S_ISDIR(attributes.st_mode) ? 2 : 1;
  attributes.st_uid = owner_;
  attributes.st_gid = owner_group_;
  attributes.st_size = static_cast<off_t>(inode.node->size());
}

void FuseServer::Lookup(fuse_req_t req, u64 parent_number, const char* name) {
  FuseInodes::Inode* parent = inodes_.Find(parent_number);
  FuseInodes::Inode* inode = parent == nullptr ? nullptr : inodes_.Lookup(*parent, name);
  if (inode == nullptr) {
    fuse_reply_err(req, ENOENT);
    return;
  }
  const bool device = IsDeviceNode(*inode->node);
  fuse_entry_param entry{};
  entry.ino = inode->number;
  entry.attr_timeout = device ? kForever : kRemembered;
  const bool remembered = inode->node->lasting() && !FuseInodes::IsNewEachTime(*inode->node);
  entry.entry_timeout = remembered ? kRemembered : 0;
  Fill(*inode, entry.attr);
  fuse_reply_entry(req, &entry);
}

void FuseServer::Getattr(fuse_req_t req, u64 number) {
  const FuseInodes::Inode* inode = inodes_.Find(number);
  if (inode == nullptr) {
    fuse_reply_err(req, ESTALE);
    return;
  }
  struct stat attributes {};
  Fill(*inode, attributes);
  fuse_reply_attr(req, &attributes, IsDeviceNode(*inode->node) ? kForever : kRemembered);
}

// Truncating a file of sysfs, as a shell does that writes to it, changes nothing.
void FuseServer::Setattr(fuse_req_t req, u64 number, int wanted) {
  if (wanted & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
    fuse_reply_err(req, EPERM);
  else
    Getattr(req, number);
}

void FuseServer::Readlink(fuse_req_t req, u64 number) {
  const FuseInodes::Inode* inode = inodes_.Find(number);
  const auto* link = inode == nullptr ? nullptr : dynamic_cast<const Symlink*>(inode->node.get());
  if (link == nullptr)
    fuse_reply_err(req, EINVAL);
  else
    fuse_reply_readlink(req, link->target().c_str());
}

void FuseServer::Readdir(fuse_req_t req, u64 number, std::size_t size, off_t offset) {
  const FuseInodes::Inode* inode = inodes_.Find(number);
  const auto* directory =
      inode == nullptr ? nullptr : dynamic_cast<const Directory*>(inode->node.get());
  if (directory == nullptr) {
    fuse_reply_err(req, ENOTDIR);
    return;
  }
  std::vector<std::pair<std::string, mode_t>> names{{".", S_IFDIR}, {"..", S_IFDIR}};
  for (const auto& [name, node] : directory->entries())
    if (name != kHandover) names.emplace_back(name, node->mode());
  std::vector<char> buffer(size);
  std::size_t used = 0;
  for (std::size_t i = static_cast<std::size_t>(offset); i < names.size(); ++i) {
    struct stat attributes {};
    attributes.st_ino = ~ino_t{0};  // known only after a look-up
    attributes.st_mode = names[i].second;
    const std::size_t length =
        fuse_add_direntry(req, buffer.data() + used, size - used, names[i].first.c_str(),
                          &attributes, static_cast<off_t>(i + 1));
    if (length > size - used) break;
    used += length;
  }
  fuse_reply_buf(req, buffer.data(), used);
}

void FuseServer::Open(fuse_req_t req, u64 number, fuse_file_info* info) {
  FuseInodes::Inode* inode = inodes_.Find(number);
  auto* node = inode == nullptr ? nullptr : dynamic_cast<FileNode*>(inode->node.get());
  if (node == nullptr) {
    fuse_reply_err(req, EISDIR);
    return;
  }
  // A second open of one inode (through /proc/self/fd) could not be told from the first.
  if (IsDeviceNode(*node) && std::exchange(inode->was_opened, true)) {
    fuse_reply_err(req, ESTALE);
    return;
  }
  Caller caller(services_, TidOf(req));
  Reply reply = loop_.door().Open(loop_.Now(), caller, *node, inode->path, info->flags);
  if (reply.deferred()) {
    fuse_reply_err(req, EAGAIN);  // no node of ours defers its open
    return;
  }
  if (const auto& value = reply.completion().value; !value)
    fuse_reply_err(req, value.error().code);
  else
    ReplyOpen(req, number, std::move(reply.completion().opened));
}

void FuseServer::ReplyOpen(fuse_req_t req, u64 number, std::shared_ptr<OpenFile> file) {
  // What the client waited for may have taken the inode away.
  if (FuseInodes::Inode* inode = inodes_.Find(number)) inode->opened = file;
  const auto backing = BackingId(file->shared_memory().fd);
  const u64 handle = ++last_handle_;
  // No flush: this thread closes duplicates of clients' descriptors, and would have to answer it.
  const fuse::OpenOut out{
      .handle = handle,
      .flags = fuse::kOpenDirectIo | fuse::kOpenNoFlush | (backing ? fuse::kOpenPassthrough : 0u),
      .backing_id = backing.value_or(0)};
  const auto opened = open_files_.emplace(handle, std::move(file)).first;
  if (fuse_reply_buf(req, reinterpret_cast<const char*>(&out), sizeof out) == 0) return;
  // The opener died meanwhile: the kernel will not release what it never had.
  loop_.door().Release(loop_.Now(), std::move(opened->second));
  open_files_.erase(handle);
}

void FuseServer::Finish(const std::shared_ptr<Answer>& answer, Reply reply) {
  if (!reply.deferred()) {
    Send(*answer, reply.completion());
    return;
  }
  auto pending = reply.pending();
  const fuse_req_t req = answer->request();
  pending->OnDone([this, answer](Completion completion) {
    if (!completion.data.empty()) answer->data = std::move(completion.data);
    Send(*answer, completion);
  });
  // libfuse calls this from the loop while the request lives, with the data as long as it does.
  const auto end = [answer, pending] {
    pending->Cancel();
    if (const fuse_req_t interrupted = answer->Claim()) fuse_reply_err(interrupted, EINTR);
  };
  waiting_[req] = {end, TidOf(req), pending->interruptible()};
  fuse_req_interrupt_func(
      req,
      [](fuse_req_t interrupted, void* data) {
        static_cast<FuseServer*>(data)->Interrupt(interrupted);
      },
      this);
}

void FuseServer::Interrupt(fuse_req_t req) {
  const auto it = waiting_.find(req);
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
void FuseServer::WaitForDeaths() {
  constexpr std::chrono::milliseconds kBetweenLooks{100};
  if (std::exchange(waits_for_deaths_, true)) return;
  deaths_.expires_after(kBetweenLooks);
  deaths_.async_wait([this](const boost::system::error_code& error) {
    waits_for_deaths_ = false;
    if (error) return;
    std::vector<fuse_req_t> interrupted;
    for (const auto& [req, call] : waiting_)
      if (call.was_interrupted) interrupted.push_back(req);
    for (const fuse_req_t req : interrupted) Interrupt(req);
  });
}

void FuseServer::Send(Answer& answer, Completion& completion) {
  const fuse_req_t req = answer.Claim();
  if (req == nullptr) return;
  waiting_.erase(req);
  const Result<long>& value = completion.value;
  switch (answer.kind) {
    case Answer::Kind::kRead:
      if (value)
        fuse_reply_buf(req, reinterpret_cast<const char*>(answer.data.data()),
                       static_cast<std::size_t>(*value));
      break;
    case Answer::Kind::kWrite:
      if (value) fuse_reply_write(req, static_cast<std::size_t>(*value));
      break;
    case Answer::Kind::kIoctl:
      // An errno goes into the result: as an error of the request ENOSYS would become ENOTTY.
      fuse_reply_ioctl(req, value ? static_cast<int>(*value) : -value.error().code, nullptr, 0);
      return;
  }
  if (!value) fuse_reply_err(req, value.error().code);
}

template <class Kind>
std::shared_ptr<FuseServer::Answer> FuseServer::Begin(fuse_req_t req, Kind kind) {
  constexpr u64 kCallsBetweenLooks = 256;
  if (calls_++ % kCallsBetweenLooks == 8) FollowClient(TidOf(req));
  auto answer = std::make_shared<Answer>(req, kind);
  loop_.turn().SetOnCutOff([answer] {
    if (const fuse_req_t stuck = answer->Claim()) fuse_reply_err(stuck, EFAULT);
  });
  return answer;
}

void FuseServer::Read(fuse_req_t req, std::size_t size, u64 offset, u64 handle) {
  const auto answer = Begin(req, Answer::Kind::kRead);
  answer->data.resize(size);
  Caller caller(services_, TidOf(req));
  const auto file = open_files_.at(handle);
  Finish(answer, loop_.door().Read(loop_.Now(), caller, *file, answer->data, offset));
}

void FuseServer::Write(fuse_req_t req, std::span<const std::byte> from, u64 offset, u64 handle) {
  const auto answer = Begin(req, Answer::Kind::kWrite);
  Caller caller(services_, TidOf(req));
  const auto file = open_files_.at(handle);
  Finish(answer, loop_.door().Write(loop_.Now(), caller, *file, from, offset));
}

void FuseServer::Ioctl(fuse_req_t req, u32 command, u64 argument, u64 handle) {
  const auto answer = Begin(req, Answer::Kind::kIoctl);
  Caller caller(services_, TidOf(req));
  const auto file = open_files_.at(handle);
  Reply reply = loop_.door().Ioctl(loop_.Now(), caller, *file, command, argument);
  if (!reply.deferred() && reply.completion().opened) {
    // FUSE cannot put a descriptor into the caller: the launcher's notifier does.
    reply = Fail(EOPNOTSUPP, "the ioctl returns a descriptor: start the client with vfiolab run");
  }
  Finish(answer, std::move(reply));
}

void FuseServer::Release(fuse_req_t req, fuse_file_info* info) {
  auto opened = open_files_.extract(info->fh);
  mms_.DropIdle();
  loop_.door().Release(loop_.Now(), std::move(opened.mapped()));
  fuse_reply_err(req, 0);
}

fuse_lowlevel_ops FuseOperations::Table() {
  fuse_lowlevel_ops ops{};
  ops.init = [](void*, fuse_conn_info* connection) {
    connection->want &= ~(FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE);
    connection->max_background = 64;
  };
  ops.lookup = [](fuse_req_t req, fuse_ino_t parent, const char* name) {
    ServerOf(req).Lookup(req, parent, name);
  };
  ops.forget = [](fuse_req_t req, fuse_ino_t number, u64 count) {
    ServerOf(req).inodes_.Forget(number, count);
    fuse_reply_none(req);
  };
  ops.forget_multi = [](fuse_req_t req, std::size_t count, fuse_forget_data* forgets) {
    for (std::size_t i = 0; i < count; ++i)
      ServerOf(req).inodes_.Forget(forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
  };
  ops.getattr = [](fuse_req_t req, fuse_ino_t number, fuse_file_info*) {
    ServerOf(req).Getattr(req, number);
  };
  ops.setattr = [](fuse_req_t req, fuse_ino_t number, struct stat*, int wanted, fuse_file_info*) {
    ServerOf(req).Setattr(req, number, wanted);
  };
  ops.readlink = [](fuse_req_t req, fuse_ino_t number) { ServerOf(req).Readlink(req, number); };
  ops.readdir = [](fuse_req_t req, fuse_ino_t number, std::size_t size, off_t offset,
                   fuse_file_info*) { ServerOf(req).Readdir(req, number, size, offset); };
  ops.open = [](fuse_req_t req, fuse_ino_t number, fuse_file_info* info) {
    ServerOf(req).Open(req, number, info);
  };
  ops.read = [](fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
    ServerOf(req).Read(req, size, static_cast<u64>(offset), info->fh);
  };
  ops.write = [](fuse_req_t req, fuse_ino_t, const char* from, std::size_t size, off_t offset,
                 fuse_file_info* info) {
    ServerOf(req).Write(req, std::as_bytes(std::span{from, size}), static_cast<u64>(offset),
                        info->fh);
  };
  ops.ioctl = [](fuse_req_t req, fuse_ino_t, unsigned command, void* argument, fuse_file_info* info,
                 unsigned, const void*, std::size_t, std::size_t) {
    ServerOf(req).Ioctl(req, command, reinterpret_cast<u64>(argument), info->fh);
  };
  ops.release = [](fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
    ServerOf(req).Release(req, info);
  };
  return ops;
}

}  // namespace vfiolab
