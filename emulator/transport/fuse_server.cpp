#include "transport/fuse_server.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include <cstring>

#include "base/trace.hpp"
#include "transport/fuse_kernel.hpp"
#include "transport/fuse_operations.hpp"

namespace vfiolab {
namespace {

FuseServer& ServerOf(void* user_data) { return *static_cast<FuseServer*>(user_data); }

// libfuse allocates it for the first request; threads that a client has held up end.
struct RequestBuffer {
  fuse_buf buffer{};
  ~RequestBuffer() { std::free(buffer.mem); }
};

}  // namespace

FuseServer::FuseServer(EventLoop& loop, FileCalls& calls, std::shared_ptr<Directory> root)
    : loop_(loop),
      calls_(calls),
      root_(std::move(root)),
      handover_(std::make_shared<Directory>()),
      mmio_(std::make_shared<Directory>()),
      inodes_(root_),
      inquiry_([](int fd, u64 question) { ::ioctl(fd, Inquiry::kCommand, question); },
               Inquiry::Close::kAtOnce),
      owner_(::geteuid()),
      owner_group_(::getegid()),
      mapped_timer_(loop.context()) {
  root_->Add(kHandover, handover_);
  calls_.AddSource(*this);
  calls_.AddTaker([this] { return TakeRequest(); });
  root_->Add(kMmio, mmio_);
}

FuseServer::~FuseServer() { Unmount(); }

Result<std::unique_ptr<FuseServer>> FuseServer::Mount(EventLoop& loop, FileCalls& calls,
                                                      std::shared_ptr<Directory> root,
                                                      const std::string& mount_point,
                                                      Options options) {
  std::unique_ptr<FuseServer> server(new FuseServer(loop, calls, std::move(root)));
  if (options.traces) server->AddTracerNode();
  TRY(server->Start(mount_point, options));
  return server;
}

Result<> FuseServer::Start(const std::string& mount_point, Options options) {
  if (::access("/dev/fuse", R_OK | W_OK) != 0)
    return Fail(errno, fmt::format("/dev/fuse cannot be opened ({}): load the fuse module, or give "
                                   "this user read and write access to it",
                                   ErrnoName(errno)));
  std::string mount_options = "fsname=vfiolab,subtype=vfiolab,default_permissions";
  if (options.allow_other) mount_options += ",allow_other";
  const char* argv[] = {"vfiolab", "-o", mount_options.c_str(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(3, const_cast<char**>(argv));
  const fuse_lowlevel_ops operations = FuseOperations::Table();
  session_ = fuse_session_new(&args, &operations, sizeof operations, this);
  fuse_opt_free_args(&args);
  if (session_ == nullptr) return Fail(EINVAL, "libfuse refuses its options");
  if (fuse_session_mount(session_, mount_point.c_str()) != 0) {
    fuse_session_destroy(std::exchange(session_, nullptr));
    return Fail(EPERM, fmt::format("FUSE cannot be mounted on {}: it takes CAP_SYS_ADMIN, a user "
                                   "namespace, or fusermount3",
                                   mount_point));
  }
  mount_point_ = mount_point;
  const int fd = fuse_session_fd(session_);
  // Replies pass through here so that INIT can offer what libfuse 3.14 does not know.
  static constexpr fuse_custom_io kIo{
      .writev = [](int, iovec* iov, int count,
                   void* data) { return ServerOf(data).WriteReply(iov, count); },
      .read = [](int, void* buffer, std::size_t size,
                 void* data) { return ServerOf(data).ReadRequest(buffer, size); },
      .splice_receive = nullptr,
      .splice_send = nullptr};
  if (const int failed = fuse_session_custom_io(session_, &kIo, fd); failed != 0)
    return Fail(-failed, "libfuse refuses its transport");
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  descriptor_.emplace(loop_.context(), fd);
  WaitForRequest();
  return {};
}

void FuseServer::Unmount() {
  if (session_ == nullptr) return;
  while (drops_ > 0) TakeRequest();
  descriptor_->release();  // the session closes it
  fuse_session_unmount(session_);
  calls_.Clear();
  mapped_files_.clear();
  // What was offered to clients that did not live to take it.
  while (!handover_->entries().empty())
    handover_->Remove(std::string(handover_->entries().begin()->first));
  fuse_session_destroy(std::exchange(session_, nullptr));
}

// Of a directory that is dropped the kernel drops all names in no use; open files keep theirs. It
// first waits for look-ups in the root, whose answers are ours: not in the loop.
void FuseServer::DropOneTimeNames() {
  constexpr u64 kMany = 512;
  if (++one_time_names_ % kMany != 0) return;
  ++drops_;
  dropper_.Post([this] {
    for (const std::string_view name : {kHandover, kMmio})
      fuse_lowlevel_notify_inval_entry(session_, FUSE_ROOT_ID, name.data(), name.size());
    --drops_;
  });
}

void FuseServer::LearnDevice() {
  struct stat root {};
  if (::stat(mount_point_.c_str(), &root) == 0) device_ = root.st_dev;
}

void FuseServer::WaitForRequest() {
  descriptor_->async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [this](const boost::system::error_code& error) {
                            if (!error) OnReadable();
                          });
}

void FuseServer::OnReadable() {
  // Waits again first: this thread may be lost to the request that it now takes up.
  WaitForRequest();
  if (TakeRequest()) return calls_.StayAwake();
  if (!fuse_session_exited(session_)) return;
  boost::system::error_code ignored;
  descriptor_->cancel(ignored);
  if (on_unmounted_) on_unmounted_();
}

bool FuseServer::TakeRequest() {
  if (!mapped_files_.empty()) ReleaseUnmapped();
  if (!put_off_.empty()) {
    std::vector<char> request = std::move(put_off_.front());
    put_off_.pop_front();
    const fuse_buf buffer{.size = request.size(), .mem = request.data()};
    fuse_session_process_buf(session_, &buffer);
    return true;
  }
  thread_local RequestBuffer request;
  if (fuse_session_receive_buf(session_, &request.buffer) <= 0) return false;
  fuse_session_process_buf(session_, &request.buffer);
  return true;
}

bool FuseServer::TakeInquiry() {
  thread_local RequestBuffer received;  // the other one holds the call under way
  fuse_buf& buffer = received.buffer;
  const int size = fuse_session_receive_buf(session_, &buffer);
  if (size <= 0) return size == -EAGAIN || size == -EINTR;
  const std::span request{static_cast<const char*>(buffer.mem), static_cast<std::size_t>(size)};
  fuse::InHeader header;
  std::memcpy(&header, request.data(), sizeof header);
  fuse::IoctlIn in{};
  if (header.opcode == fuse::kOpcodeIoctl)
    std::memcpy(&in, request.data() + sizeof header, sizeof in);
  if (in.command == Inquiry::kCommand && inquiry_.IsAsking(static_cast<pid_t>(header.pid))) {
    fuse_session_process_buf(session_, &buffer);
    return true;
  }
  put_off_.emplace_back(request.begin(), request.end());
  boost::asio::post(loop_.context(), [this] { TakeRequest(); });
  return true;
}

void FuseServer::AnswerInquiry(fuse_req_t req, u64 question, u64 handle) {
  inquiry_.Answer(question, handle);
  fuse_reply_ioctl(req, 0, nullptr, 0);
}

void FuseServer::Drain() {
  if (!mapped_files_.empty()) ReleaseUnmapped();
  constexpr int kMost = 1024;  // others may ask on and on
  for (int i = 0; i < kMost && TakeRequest(); ++i) {
  }
}

ssize_t FuseServer::ReadRequest(void* buffer, std::size_t size) {
  const ssize_t count = ::read(fuse_session_fd(session_), buffer, size);
  if (init_answered_ || count < static_cast<ssize_t>(sizeof(fuse::InHeader) + sizeof(fuse::InitIn)))
    return count;
  fuse::InHeader header;
  fuse::InitIn init;
  std::memcpy(&header, buffer, sizeof header);
  std::memcpy(&init, static_cast<const std::byte*>(buffer) + sizeof header, sizeof init);
  if (header.opcode == fuse::kOpcodeInit)
    kernel_flags_ = init.flags | (init.flags & fuse::kInitExt ? u64{init.flags2} << 32 : 0);
  return count;
}

ssize_t FuseServer::WriteReply(iovec* iov, int count) {
  const int fd = fuse_session_fd(session_);
  if (init_answered_ || count < 2 || iov[1].iov_len < sizeof(fuse::InitOut))
    return ::writev(fd, iov, count);
  init_answered_ = true;
  fuse::InitOut out;
  std::memcpy(&out, iov[1].iov_base, sizeof out);
  // Without it look-ups in one directory wait for each other, and nothing ends such a wait.
  out.flags |= static_cast<u32>(kernel_flags_ & fuse::kParallelLookups);
  if (kernel_flags_ & fuse::kPassthrough) {
    out.flags |= static_cast<u32>(fuse::kInitExt);
    out.flags2 |= static_cast<u32>(fuse::kPassthrough >> 32);
    out.max_stack_depth = 1;
  }
  std::memcpy(iov[1].iov_base, &out, sizeof out);
  const ssize_t written = ::writev(fd, iov, count);
  ProbePassthrough();
  return written;
}

// Whether files of ours can be backed by memory: takes a kernel >= 6.9 and CAP_SYS_ADMIN in the
// initial user namespace.
void FuseServer::ProbePassthrough() {
  if (!(kernel_flags_ & fuse::kPassthrough)) return;
  const UniqueFd memory(::memfd_create("vfiolab-probe", MFD_CLOEXEC));
  fuse::BackingMap map{memory.get(), 0, 0};
  const int id = ::ioctl(fuse_session_fd(session_), fuse::kBackingOpen, &map);
  if (id <= 0) return;
  ::ioctl(fuse_session_fd(session_), fuse::kBackingClose, &id);
  calls_.services().can_map_regions = true;
}

std::optional<int> FuseServer::BackingId(int memory_fd) {
  if (memory_fd < 0 || !calls_.services().can_map_regions) return std::nullopt;
  const auto known = backing_ids_.find(memory_fd);
  if (known != backing_ids_.end()) return known->second;
  fuse::BackingMap map{memory_fd, 0, 0};
  const int id = ::ioctl(fuse_session_fd(session_), fuse::kBackingOpen, &map);
  if (id <= 0) return std::nullopt;
  backing_ids_.emplace(memory_fd, id);
  return id;
}

bool FuseServer::Owns(const struct statx& found) const {
  return makedev(found.stx_dev_major, found.stx_dev_minor) == device_;
}

Result<std::shared_ptr<OpenFile>> FuseServer::Find(pid_t tid, int fd, const struct statx& found) {
  const FuseInodes::Inode* inode = inodes_.Find(found.stx_ino);
  if (inode == nullptr) return std::shared_ptr<OpenFile>();
  const auto opened = inode->Opened();
  if (opened.empty()) return std::shared_ptr<OpenFile>();
  if (opened.size() == 1 || opened.front()->is_regular()) return opened.front();
  return calls_.Find(
      inquiry_.Ask(tid, fd, found, fuse_session_fd(session_), [this] { return TakeInquiry(); }));
}

std::shared_ptr<OpenFile> FuseServer::FindMapped(dev_t device, ino_t number) {
  const FuseInodes::Inode* inode = device == device_ ? inodes_.Find(number) : nullptr;
  const auto opened = inode == nullptr ? std::vector<std::shared_ptr<OpenFile>>{} : inode->Opened();
  return opened.empty() ? nullptr : opened.front();
}

std::string FuseServer::Offer(std::shared_ptr<OpenFile> file) {
  const std::string name = std::to_string(++offers_);
  const u64 size = file->size();
  handover_->Add(name, std::make_shared<DeviceNode>(
                           0600,
                           [this, name, file = std::move(file)](
                               CallContext&) mutable -> Result<std::shared_ptr<OpenFile>> {
                             handover_->Remove(name);
                             // As the kernel of a file that has no node.
                             if (file == nullptr) return Fail(ENXIO, "opened through /proc");
                             return std::move(file);
                           },
                           size));
  return name;
}

void FuseServer::Withdraw(const std::string& name) { handover_->Remove(name); }

}  // namespace vfiolab
