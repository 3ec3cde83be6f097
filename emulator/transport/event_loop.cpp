#include "transport/event_loop.hpp"

namespace vfiolab {

EventLoop::EventLoop(Turn& turn, Machine& machine, Door& door)
    : turn_(turn),
      machine_(machine),
      door_(door),
      keep_(boost::asio::make_work_guard(context_)),
      timer_(context_) {
  turn_.SetCallbacks([this] { AddSpare(); }, [this] { boost::asio::post(context_, [] {}); });
}

EventLoop::~EventLoop() { Stop(); }

Time EventLoop::Now() const { return std::chrono::steady_clock::now() - start_; }

// A spare thread waits for its turn; it gets it when the one that has it is lost to a client.
void EventLoop::AddSpare() {
  ++spares_;
  std::thread([this] {
    Work();
    --spares_;
    spares_.notify_all();
  }).detach();
}

void EventLoop::Work() {
  if (!turn_.Take()) return;
  while (!stopping_) {
    context_.run_one();
    ArmTimer();
    if (Turn::lost()) break;
    if (!turn_.wanted()) continue;
    turn_.Give();
    if (!turn_.Take()) return;
  }
  turn_.Give();
}

void EventLoop::Run() {
  AddSpare();
  Work();
  stopping_.wait(false);
  turn_.Stop();
  // One that a client still holds does not come: then this goes on to the end of the process.
  for (int left = spares_; left > 0; left = spares_) spares_.wait(left);
}

void EventLoop::Stop() {
  stopping_ = true;
  stopping_.notify_all();
  context_.stop();
}

void EventLoop::ArmTimer() {
  const std::optional<Time> next = machine_.clock().NextDeadline();
  if (next == armed_) return;
  armed_ = next;
  if (!next) {
    timer_.cancel();
    return;
  }
  timer_.expires_at(start_ +
                    std::chrono::duration_cast<std::chrono::steady_clock::duration>(*next));
  timer_.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    armed_.reset();
    door_.Tick(Now());
  });
}

}  // namespace vfiolab
