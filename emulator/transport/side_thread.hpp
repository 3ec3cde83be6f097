// A thread for what the core must not wait for.
#pragma once
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace vfiolab {

// Does what it is given, in that order. Its end waits for what is being done and drops the rest.
class SideThread {
 public:
  SideThread()
      : keep_(boost::asio::make_work_guard(context_)), thread_([this] { context_.run(); }) {}
  ~SideThread() {
    context_.stop();
    thread_.join();
  }
  template <class F>
  void Post(F act) {
    boost::asio::post(context_, std::move(act));
  }

 private:
  boost::asio::io_context context_;
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> keep_;
  std::thread thread_;
};

}  // namespace vfiolab
