// Receives of clients on sockets of generic netlink that may hold messages of ours. One that waits
// for a message is held here: in the kernel it would get a carrier as it is.
#pragma once
#include <chrono>
#include <map>

#include "netlink/receive.hpp"
#include "transport/file_calls.hpp"
#include "transport/trapped_call.hpp"

namespace vfiolab {

// In the core's turn.
class NetlinkReceives {
 public:
  NetlinkReceives(EventLoop& loop, CallerServices& services);
  ~NetlinkReceives();

  // Receives for the client, now or when there is something.
  void Take(std::shared_ptr<TrappedCall> call, NetlinkSocket socket);

 private:
  using Instant = std::chrono::steady_clock::time_point;
  struct Receive;
  using Held = std::shared_ptr<Receive>;

  // Whether the call is answered; else there was nothing yet.
  bool Attempt(const Held& receive);
  bool AttemptInTurn(const Held& receive);
  Result<long> ReceiveOne(Receive& receive);
  void Hold(const Held& receive);
  void Release(u64 number);
  void WaitForMessages();
  void OnMessages();
  void WaitForSignals();
  void OnTick();
  // Whether it has ended, by a signal or by its own time.
  bool HasEnded(Receive& receive);

  EventLoop& loop_;
  CallerServices& services_;
  std::map<u64, Held> held_;
  u64 last_ = 0;
  // The event loop must not wait for a client's socket itself: it would make it non-blocking.
  boost::asio::posix::stream_descriptor messages_;
  boost::asio::steady_timer tick_;
  bool ticks_ = false;
  std::chrono::steady_clock::duration pause_{};  // at least, between two looks
};

}  // namespace vfiolab
