// The calls that FUSE cannot carry: those that return a descriptor, and mmap. The launcher's
// seccomp filter hands them over; clients outside it do without.
#pragma once
#include <linux/seccomp.h>

#include <list>
#include <thread>

#include "transport/cuse_server.hpp"
#include "transport/fuse_server.hpp"

namespace vfiolab {

class Notifier {
 public:
  // Serves on a thread of its own, because it opens files of `fuse`. `cuse` is null or outlives
  // this.
  Notifier(EventLoop& loop, FileCalls& calls, FuseServer& fuse, CuseServer* cuse);
  ~Notifier();

  // Serves a listener (a descriptor of SECCOMP_FILTER_FLAG_NEW_LISTENER) until the last process
  // under its filter is gone. From any thread.
  void Add(UniqueFd listener);

 private:
  struct Listener;
  class Ticket;
  // Gives the file that a call is about, in the core's turn; null when it is not open any more.
  using Target = std::function<std::shared_ptr<OpenFile>()>;

  void Wait(const std::shared_ptr<Listener>& listener);
  void OnReadable(const std::shared_ptr<Listener>& listener);
  void HandleIoctl(const std::shared_ptr<Ticket>& ticket);
  void HandleMmap(const std::shared_ptr<Ticket>& ticket);
  // A transfer of no bytes, or lseek.
  void HandleMove(const std::shared_ptr<Ticket>& ticket);
  void Install(const std::shared_ptr<Ticket>& ticket, const std::string& offer, int flags);
  // Empty when the file is not ours.
  Target TargetOf(const Ticket& ticket) const;

  EventLoop& loop_;
  FileCalls& calls_;
  FuseServer& fuse_;
  CuseServer* cuse_;
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_;
  std::thread thread_;
};

}  // namespace vfiolab
