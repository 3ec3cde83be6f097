// The FUSE transport: a tree of nodes as a mounted file system.
#pragma once
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>

#include <atomic>
#include <deque>
#include <map>
#include <optional>

#include "transport/event_loop.hpp"
#include "transport/file_calls.hpp"
#include "transport/fuse_inodes.hpp"
#include "transport/inquiry.hpp"
#include "transport/side_thread.hpp"

namespace vfiolab {

class FuseServer final : public OpenFileSource {
 public:
  struct Options {
    bool allow_other = false;
    bool traces = false;  // some regions can be mapped only by clients that are traced
  };

  // Mounts `root` at the existing directory `mount_point` and serves it from `loop`, before that
  // runs. The reason of a failure says which privilege is missing.
  static Result<std::unique_ptr<FuseServer>> Mount(EventLoop& loop, FileCalls& calls,
                                                   std::shared_ptr<Directory> root,
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
  bool Owns(const struct statx& found) const override;
  Result<std::shared_ptr<OpenFile>> Find(pid_t tid, int fd, const struct statx& found) override;
  std::shared_ptr<OpenFile> FindMapped(dev_t device, ino_t inode) override;
  // A name below kHandover under which `file` can be opened once.
  std::string Offer(std::shared_ptr<OpenFile> file);
  void Withdraw(const std::string& name);
  static constexpr const char* kHandover = ".opened";
  // Where tracers of clients announce themselves (opening "tracer"), and find "INODE.TID": what
  // thread TID loads and stores on mapped registers of the device's file INODE, read and written at
  // the offsets of that file. EIO: nothing answers. Holds no device open.
  static constexpr const char* kMmio = ".mmio";

  const std::string& mount_point() const { return mount_point_; }
  dev_t device() const { return device_; }
  std::size_t inode_count() const { return inodes_.size(); }

 private:
  friend struct FuseOperations;

  FuseServer(EventLoop& loop, FileCalls& calls, std::shared_ptr<Directory> root);
  Result<> Start(const std::string& mount_point, Options options);
  void WaitForRequest();
  void OnReadable();
  // False when nothing was waiting.
  bool TakeRequest();
  // While a call is under way: answers an inquiry, and puts anything else off until later. False
  // when the file system is gone.
  bool TakeInquiry();
  void AnswerInquiry(fuse_req_t req, u64 question, u64 handle);

  ssize_t WriteReply(iovec* iov, int count);
  ssize_t ReadRequest(void* buffer, std::size_t size);
  void ProbePassthrough();
  std::optional<int> BackingId(int memory_fd);

  void AddTracerNode();
  FuseInodes::Inode* LookUpRegisters(FuseInodes::Inode& directory, const std::string& name);

  // The kernel remembers each name that it found, until it is short of memory.
  void DropOneTimeNames();

  void Fill(const FuseInodes::Inode& inode, struct stat& attributes) const;

  // The operations, named as FUSE names them.
  void Lookup(fuse_req_t req, u64 parent, const char* name);
  void Getattr(fuse_req_t req, u64 number);
  void Setattr(fuse_req_t req, u64 number, const struct stat& wanted, int what);
  void Readlink(fuse_req_t req, u64 number);
  void Readdir(fuse_req_t req, u64 number, std::size_t size, off_t offset);
  void Open(fuse_req_t req, u64 number, fuse_file_info* info);
  void ReplyOpen(fuse_req_t req, u64 number, std::shared_ptr<OpenFile> file);
  void Release(u64 handle);
  // Files that were closed while clients had them mapped: releases those that no longer are.
  void ReleaseUnmapped();
  void WatchMapped();

  EventLoop& loop_;
  FileCalls& calls_;
  std::shared_ptr<Directory> root_;
  std::shared_ptr<Directory> handover_;
  std::shared_ptr<Directory> mmio_;
  u64 offers_ = 0;
  u64 one_time_names_ = 0;      // that the kernel found below kHandover and kMmio
  std::atomic<int> drops_ = 0;  // under way in dropper_
  FuseInodes inodes_;
  std::deque<std::vector<char>> put_off_;  // requests
  Inquiry inquiry_;
  std::string mount_point_;
  fuse_session* session_ = nullptr;
  std::optional<boost::asio::posix::stream_descriptor> descriptor_;
  dev_t device_ = 0;
  uid_t owner_;
  gid_t owner_group_;
  u64 kernel_flags_ = 0;
  bool init_answered_ = false;
  std::map<int, int> backing_ids_;                       // by memfd
  std::vector<std::shared_ptr<OpenFile>> mapped_files_;  // closed, but mapped by clients
  boost::asio::steady_timer mapped_timer_;
  SideThread dropper_;
  std::function<void()> on_unmounted_;
};

}  // namespace vfiolab
