// One CUSE device: the kernel's protocol on its connection.
#pragma once
#include <sys/types.h>

#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "transport/cuse_host.hpp"
#include "transport/file_calls.hpp"

namespace vfiolab {

// In the core's turn, from a thread that may be lost to a client at any call that is passed on.
class CuseChannel final : public std::enable_shared_from_this<CuseChannel> {
 public:
  // What a channel asks of the one that has it.
  struct Owner {
    std::function<void()> before_call;  // a chance for other transports to take up earlier calls
    std::function<bool(pid_t tid)> is_asking;  // whether this thread makes an inquiry
    std::function<void(u64 question, u64 handle)> on_inquiry;
    std::function<void(CuseChannel&)> on_dead;  // it serves nobody any more: to be forgotten
  };

  // Makes the device `device` for `node`: with the number `wanted`, or one that the kernel chooses.
  // `path` is what the core knows the node by. ETIMEDOUT, EPROTO: the kernel does not speak CUSE
  // there. ENOENT: it refused the device.
  static Result<std::shared_ptr<CuseChannel>> Open(EventLoop& loop, FileCalls& calls,
                                                   CuseHost& host, Owner owner, std::string device,
                                                   std::string path,
                                                   std::shared_ptr<DeviceNode> node, dev_t wanted);
  CuseChannel(EventLoop& loop, FileCalls& calls, Owner owner, std::string path,
              std::shared_ptr<DeviceNode> node, UniqueFd fd);
  ~CuseChannel();

  dev_t number() const { return number_; }
  int fd() const;

  // Serves what comes, from now on.
  void Start();
  // The node is gone: nobody opens it any more, but open files stay until they are closed.
  void Retire();
  // Ends it, also for those who have it open.
  void Close();

  // Takes up one request, after what came earlier elsewhere; false when none was there.
  bool TakeRequest();
  // While a call is under way: answers an inquiry, and puts anything else off until later. False
  // when the connection is dead.
  bool TakeInquiry();

 private:
  struct Connection;
  class CuseRequest;
  using Packet = std::vector<std::byte>;

  Result<> Introduce(CuseHost& host, const std::string& device, dev_t wanted);
  void Wait();
  void OnReadable();
  // One packet; none when nothing waits. The connection may be found dead.
  std::optional<Packet> Receive();
  void Handle(const Packet& packet);
  void HandleOpen(CuseRequest& request, const Packet& packet);
  void HandleIoctl(const std::shared_ptr<CuseRequest>& request, const Packet& packet);
  void HandleRelease(CuseRequest& request, const Packet& packet);
  void Die();

  EventLoop& loop_;
  FileCalls& calls_;
  Owner owner_;
  std::string path_;
  std::shared_ptr<DeviceNode> node_;
  std::shared_ptr<Connection> connection_;
  std::optional<boost::asio::posix::stream_descriptor> descriptor_;
  dev_t number_ = 0;
  std::set<u64> handles_;
  std::deque<Packet> put_off_;
  bool retired_ = false;
  bool dead_ = false;
};

}  // namespace vfiolab
