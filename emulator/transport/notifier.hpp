// The calls that FUSE cannot carry: those that return a descriptor, and mmap. The launcher's
// seccomp filter hands them over; clients outside it do without.
#pragma once
#include <linux/seccomp.h>

#include <list>
#include <thread>

#include "transport/fuse_server.hpp"

namespace vfiolab {

class Notifier {
 public:
  // Serves on a thread of its own, because it opens files of `server`.
  Notifier(EventLoop& loop, FuseServer& server);
  ~Notifier();

  // Serves a listener (a descriptor of SECCOMP_FILTER_FLAG_NEW_LISTENER) until the last process
  // under its filter is gone. From any thread.
  void Add(UniqueFd listener);

 private:
  struct Listener;
  class Ticket;
  struct Target {
    dev_t device;
    ino_t inode;
  };

  void Wait(const std::shared_ptr<Listener>& listener);
  void OnReadable(const std::shared_ptr<Listener>& listener);
  void HandleIoctl(const std::shared_ptr<Ticket>& ticket);
  void HandleMmap(const std::shared_ptr<Ticket>& ticket);
  void Install(const std::shared_ptr<Ticket>& ticket, const std::string& offer, int flags);
  bool IsOurs(const Ticket& ticket, Target& target) const;

  EventLoop& loop_;
  FuseServer& server_;
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_;
  std::thread thread_;
};

}  // namespace vfiolab
