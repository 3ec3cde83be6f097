// Where events of the outside world become inputs of the core: descriptors, time, other threads.
#pragma once
#include <atomic>
#include <future>
#include <memory>
#include <thread>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include "machine/door.hpp"
#include "machine/machine.hpp"
#include "process/turn.hpp"

namespace vfiolab {

class EventLoop {
 public:
  // `machine` and `door` may be set up until Run().
  EventLoop(Turn& turn, Machine& machine, Door& door);
  ~EventLoop();

  // Runs the core on this thread until Stop(). When this thread is lost to a client that holds
  // back its memory, others go on; Run() returns only after Stop(), when no other thread uses this.
  void Run();
  void Stop();

  Turn& turn() { return turn_; }
  Machine& machine() { return machine_; }
  Door& door() { return door_; }
  boost::asio::io_context& context() { return context_; }
  Time Now() const;

  // Runs `act` in the core's turn and returns what it returned. From any other thread.
  template <class F>
  auto Ask(F act) -> decltype(act()) {
    std::packaged_task<decltype(act())()> task(std::move(act));
    auto answer = task.get_future();
    boost::asio::post(context_, std::ref(task));
    return answer.get();
  }

 private:
  void Work();
  void ArmTimer();
  void AddSpare();

  Turn& turn_;
  Machine& machine_;
  Door& door_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_;
  boost::asio::steady_timer timer_;
  std::optional<Time> armed_;
  std::atomic<bool> stopping_{false};
  std::atomic<int> spares_{0};
};

}  // namespace vfiolab
