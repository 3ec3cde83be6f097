#include "transport/fuse_operations.hpp"

#include <sys/stat.h>

#include "host_memory/backing_file.hpp"
#include "transport/fuse_kernel.hpp"
#include "transport/register_file.hpp"

namespace vfiolab {
namespace {

// Names that may go are looked up each time, others seldom. Of a device node the kernel is told
// when attributes change, and stat must not ask this thread for them; those of other files seldom
// do.
constexpr double kRemembered = 1.0;
constexpr double kForever = 1e9;

FuseServer& ServerOf(fuse_req_t req) { return *static_cast<FuseServer*>(fuse_req_userdata(req)); }

bool IsDeviceNode(const Node& node) { return dynamic_cast<const DeviceNode*>(&node) != nullptr; }

pid_t TidOf(fuse_req_t req) { return fuse_req_ctx(req)->pid; }

}  // namespace

void FuseServer::Fill(const FuseInodes::Inode& inode, struct stat& attributes) const {
  attributes = {};
  attributes.st_ino = inode.number;
  attributes.st_mode = inode.node->mode();
  attributes.st_nlink = S_ISDIR(attributes.st_mode) ? 2 : 1;
  attributes.st_uid = owner_;
  attributes.st_gid = owner_group_;
  attributes.st_size = static_cast<off_t>(inode.node->size());
  if (const auto* device = dynamic_cast<const DeviceNode*>(inode.node.get())) {
    attributes.st_uid = device->owner().user.value_or(owner_);
    attributes.st_gid = device->owner().group.value_or(owner_group_);
  }
}

void FuseServer::Lookup(fuse_req_t req, u64 parent_number, const char* name) {
  FuseInodes::Inode* parent = inodes_.Find(parent_number);
  FuseInodes::Inode* inode = parent == nullptr       ? nullptr
                             : parent->node == mmio_ ? LookUpRegisters(*parent, name)
                                                     : inodes_.Lookup(*parent, name);
  if (inode == nullptr) {
    fuse_reply_err(req, ENOENT);
    return;
  }
  if (parent->node == handover_ || parent->node == mmio_) DropOneTimeNames();
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

// Truncating a file of sysfs, as a shell does that writes to it, changes nothing. Whether the
// caller may change a node's owner the kernel has asked.
void FuseServer::Setattr(fuse_req_t req, u64 number, const struct stat& wanted, int what) {
  FuseInodes::Inode* inode = inodes_.Find(number);
  // Of a file that has no node: fs/libfs.c anon_inode_setattr.
  if (inode != nullptr && inode->path.starts_with(std::string("/") + kHandover))
    return void(fuse_reply_err(req, EOPNOTSUPP));
  if ((what & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)) == 0)
    return Getattr(req, number);
  auto* device = inode == nullptr ? nullptr : dynamic_cast<DeviceNode*>(inode->node.get());
  if (device == nullptr) return void(fuse_reply_err(req, EPERM));
  if (what & FUSE_SET_ATTR_MODE) device->set_permissions(wanted.st_mode & ~mode_t{S_IFMT});
  if (what & FUSE_SET_ATTR_UID) device->owner().user = wanted.st_uid;
  if (what & FUSE_SET_ATTR_GID) device->owner().group = wanted.st_gid;
  for (const u64 other : inodes_.NumbersOf(*device))
    if (other != number) fuse_lowlevel_notify_inval_inode(session_, other, -1, 0);
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
  // What begins with a dot is the emulator's own.
  for (const auto& [name, node] : directory->entries())
    if (!name.starts_with('.')) names.emplace_back(name, node->mode());
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
  Reply reply = calls_.Open(TidOf(req), *node, inode->path, info->flags);
  if (const auto& value = reply.completion().value; !value)
    fuse_reply_err(req, value.error().code);
  else
    ReplyOpen(req, number, std::move(reply.completion().opened));
}

void FuseServer::ReplyOpen(fuse_req_t req, u64 number, std::shared_ptr<OpenFile> file) {
  // What the client waited for may have taken the inode away.
  if (FuseInodes::Inode* inode = inodes_.Find(number)) {
    std::erase_if(inode->opens, [](const auto& earlier) { return earlier.expired(); });
    inode->opens.push_back(file);
  }
  const auto backing = BackingId(file->shared_memory().fd);
  const bool takes_offsets = file->takes_offsets();
  const u64 handle = calls_.Add(std::move(file));
  // No flush: the end of one descriptor among several means nothing to our files.
  const fuse::OpenOut out{.handle = handle,
                          .flags = fuse::kOpenDirectIo | fuse::kOpenNoFlush |
                                   (backing ? fuse::kOpenPassthrough : 0u) |
                                   (takes_offsets ? 0u : fuse::kOpenNonseekable),
                          .backing_id = backing.value_or(0)};
  if (fuse_reply_buf(req, reinterpret_cast<const char*>(&out), sizeof out) == 0) return;
  // The opener died meanwhile: the kernel will not release what it never had.
  calls_.Release(calls_.Take(handle));
}

void FuseRequest::AnswerRead(std::span<const std::byte> data) {
  fuse_reply_buf(req_, reinterpret_cast<const char*>(data.data()), data.size());
}

void FuseRequest::AnswerWrite(std::size_t count) { fuse_reply_write(req_, count); }

void FuseRequest::AnswerIoctl(int result) { fuse_reply_ioctl(req_, result, nullptr, 0); }

void FuseRequest::AnswerError(int code) { fuse_reply_err(req_, code); }

void FuseRequest::ExpectInterrupt() {
  // libfuse calls this from the loop while the request lives, with the data as long as it does.
  fuse_req_interrupt_func(
      req_,
      [](fuse_req_t interrupted, void* calls) {
        static_cast<FileCalls*>(calls)->Interrupt(KeyOf(interrupted));
      },
      &calls_);
}

FileCalls& FuseOperations::CallsOf(fuse_req_t req) { return ServerOf(req).calls_; }

std::shared_ptr<Request> FuseOperations::NewRequest(fuse_req_t req) {
  return std::make_shared<FuseRequest>(CallsOf(req), req);
}

void FuseServer::Release(u64 handle) {
  auto file = calls_.Take(handle);
  if (file == nullptr || !file->shared_memory().mapped) return calls_.Release(std::move(file));
  if (mapped_files_.empty()) WatchMapped();
  mapped_files_.push_back(std::move(file));
  ReleaseUnmapped();
}

void FuseServer::ReleaseUnmapped() {
  std::erase_if(mapped_files_, [this](std::shared_ptr<OpenFile>& file) {
    if (BackingFile::IsInUse(file->shared_memory().fd)) return false;
    calls_.Release(std::move(file));
    return true;
  });
}

// Nothing tells when a mapping goes. Each request looks first; between requests a timer does.
void FuseServer::WatchMapped() {
  constexpr std::chrono::milliseconds kInterval{5};
  mapped_timer_.expires_after(kInterval);
  mapped_timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    ReleaseUnmapped();
    if (!mapped_files_.empty()) WatchMapped();
  });
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
  ops.setattr = [](fuse_req_t req, fuse_ino_t number, struct stat* wanted, int what,
                   fuse_file_info*) { ServerOf(req).Setattr(req, number, *wanted, what); };
  ops.readlink = [](fuse_req_t req, fuse_ino_t number) { ServerOf(req).Readlink(req, number); };
  ops.readdir = [](fuse_req_t req, fuse_ino_t number, std::size_t size, off_t offset,
                   fuse_file_info*) { ServerOf(req).Readdir(req, number, size, offset); };
  ops.open = [](fuse_req_t req, fuse_ino_t number, fuse_file_info* info) {
    ServerOf(req).Open(req, number, info);
  };
  ops.read = [](fuse_req_t req, fuse_ino_t, std::size_t size, off_t offset, fuse_file_info* info) {
    CallsOf(req).Read(NewRequest(req), size, static_cast<u64>(offset), info->fh);
  };
  ops.write = [](fuse_req_t req, fuse_ino_t, const char* from, std::size_t size, off_t offset,
                 fuse_file_info* info) {
    CallsOf(req).Write(NewRequest(req), std::as_bytes(std::span{from, size}),
                       static_cast<u64>(offset), info->fh);
  };
  ops.ioctl = [](fuse_req_t req, fuse_ino_t, unsigned command, void* argument, fuse_file_info* info,
                 unsigned, const void*, std::size_t, std::size_t) {
    if (command == Inquiry::kCommand && ServerOf(req).inquiry_.IsAsking(TidOf(req)))
      return ServerOf(req).AnswerInquiry(req, reinterpret_cast<u64>(argument), info->fh);
    CallsOf(req).Ioctl(NewRequest(req), command, reinterpret_cast<u64>(argument), info->fh);
  };
  ops.release = [](fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
    ServerOf(req).Release(info->fh);
    fuse_reply_err(req, 0);
  };
  return ops;
}

}  // namespace vfiolab
