// The FUSE transport: a tree of nodes as a mounted file system.
#pragma once
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <map>
#include <optional>

#include "process/caller.hpp"
#include "transport/event_loop.hpp"
#include "transport/fuse_inodes.hpp"

namespace vfiolab {

class FuseServer final : public OpenFileFinder {
 public:
  struct Options {
    bool allow_other = false;
  };

  // Mounts `root` at the existing directory `mount_point` and serves it from `loop`. The reason of
  // a failure says which privilege is missing.
  static Result<std::unique_ptr<FuseServer>> Mount(EventLoop& loop, std::shared_ptr<Directory> root,
                                                   const std::string& mount_point, Options options);
  ~FuseServer() override;

  // Unmounts; the loop must not run any more.
  void Unmount();

  // Runs in the loop when the file system was unmounted by someone else.
  void set_on_unmounted(std::function<void()> f) { on_unmounted_ = std::move(f); }

  // Tells the server on which device its files appear: stat of the mounted root. From outside the
  // loop, once, before clients come.
  void LearnDevice();

  // In the core's turn:
  // Takes up what clients have asked so far. A call that comes by another way (the notifier) must
  // not overtake a release that its client was told had happened.
  void Drain();
  std::shared_ptr<OpenFile> FindOpenFile(int fd) override;
  std::shared_ptr<OpenFile> FindOpenFile(dev_t device, ino_t inode);
  // A name below kHandover under which `file` can be opened once.
  std::string Offer(std::shared_ptr<OpenFile> file);
  void Withdraw(const std::string& name);
  static constexpr const char* kHandover = ".opened";

  CallerServices& services() { return services_; }
  const std::string& mount_point() const { return mount_point_; }
  dev_t device() const { return device_; }
  std::size_t inode_count() const { return inodes_.size(); }
  std::size_t open_file_count() const { return open_files_.size(); }

 private:
  friend struct FuseOperations;
  class Answer;

  FuseServer(EventLoop& loop, std::shared_ptr<Directory> root);
  Result<> Start(const std::string& mount_point, Options options);
  void WaitForRequest();
  void OnReadable();
  // False when nothing was waiting.
  bool TakeRequest();

  // A wake-up across CPUs costs several times what the call does: this thread moves to the CPU of a
  // client that is bound to it, and for one that is free waits awake a little.
  void FollowClient(pid_t tid);
  void SpinForRequests();
  ssize_t WriteReply(iovec* iov, int count);
  ssize_t ReadRequest(void* buffer, std::size_t size);
  void ProbePassthrough();
  std::optional<int> BackingId(int memory_fd);

  void Fill(const FuseInodes::Inode& inode, struct stat& attributes) const;

  // The operations, named as FUSE names them.
  void Lookup(fuse_req_t req, u64 parent, const char* name);
  void Getattr(fuse_req_t req, u64 number);
  void Setattr(fuse_req_t req, u64 number, int wanted);
  void Readlink(fuse_req_t req, u64 number);
  void Readdir(fuse_req_t req, u64 number, std::size_t size, off_t offset);
  void Open(fuse_req_t req, u64 number, fuse_file_info* info);
  void ReplyOpen(fuse_req_t req, u64 number, std::shared_ptr<OpenFile> file);
  void Read(fuse_req_t req, std::size_t size, u64 offset, u64 handle);
  void Write(fuse_req_t req, std::span<const std::byte> from, u64 offset, u64 handle);
  void Ioctl(fuse_req_t req, u32 command, u64 argument, u64 handle);
  void Release(fuse_req_t req, fuse_file_info* info);
  // The answer to `req`, which EFAULT claims when the client is cut off meanwhile.
  template <class Kind>
  std::shared_ptr<Answer> Begin(fuse_req_t req, Kind kind);
  // Sends what a call came to; waits where it is deferred.
  void Finish(const std::shared_ptr<Answer>& answer, Reply reply);
  void Send(Answer& answer, Completion& completion);
  // A signal came for the caller. One that does not end the call still does when it kills.
  void Interrupt(fuse_req_t req);
  void WaitForDeaths();

  EventLoop& loop_;
  MmCache mms_;
  CallerServices services_;
  std::shared_ptr<Directory> root_;
  std::shared_ptr<Directory> handover_;
  u64 offers_ = 0;
  FuseInodes inodes_;
  std::string mount_point_;
  fuse_session* session_ = nullptr;
  std::optional<boost::asio::posix::stream_descriptor> descriptor_;
  dev_t device_ = 0;
  uid_t owner_;
  gid_t owner_group_;
  u64 kernel_flags_ = 0;
  bool init_answered_ = false;
  std::map<int, int> backing_ids_;                                 // by memfd
  std::unordered_map<u64, std::shared_ptr<OpenFile>> open_files_;  // by the kernel's file handle
  u64 last_handle_ = 0;
  u64 calls_ = 0;
  bool spin_ = false;
  struct WaitingCall {
    std::function<void()> end;
    pid_t tid;
    bool ended_by_signals;  // by any of them
    bool was_interrupted = false;
  };
  std::map<fuse_req_t, WaitingCall> waiting_;  // deferred calls
  boost::asio::steady_timer deaths_;
  bool waits_for_deaths_ = false;
  std::function<void()> on_unmounted_;
};

}  // namespace vfiolab
