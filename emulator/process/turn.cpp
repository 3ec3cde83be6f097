#include "process/turn.hpp"

#include <algorithm>
#include <cstdio>
#include <string>
#include <utility>

namespace vfiolab {
namespace {

thread_local bool turn_lost = false;

}  // namespace

pid_t ThreadGroupOf(pid_t tid) {
  const std::string path = "/proc/" + std::to_string(tid) + "/status";
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (file == nullptr) return 0;
  char line[256];
  int group = 0;
  while (group == 0 && std::fgets(line, sizeof line, file) != nullptr)
    if (std::sscanf(line, "Tgid: %d", &group) != 1) group = 0;
  std::fclose(file);
  return group;
}

Turn::Turn() : watchdog_([this] { Watch(); }) {}

Turn::~Turn() {
  Stop();
  watchdog_.join();
}

bool Turn::lost() { return turn_lost; }

bool Turn::Take() {
  std::unique_lock lock(mutex_);
  free_.wait(lock, [&] { return stopping_ || (!taken_ && returning_ == 0); });
  if (stopping_) return false;
  taken_ = true;
  turn_lost = holder_was_lost_ = false;
  return true;
}

void Turn::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  free_.notify_all();
}

bool Turn::Finish() {
  std::unique_lock lock(mutex_);
  finishing_ = true;
  free_.wait(lock, [&] { return !taken_; });
  taken_ = stopping_ = true;
  const bool alone = returning_ == 0 && std::ranges::all_of(stuck_, &Stuck::returned);
  lock.unlock();
  stop_.notify_all();
  free_.notify_all();
  return alone;
}

void Turn::Give() {
  {
    const std::lock_guard lock(mutex_);
    taken_ = false;
    call_ = nullptr;
  }
  free_.notify_all();
}

u64 Turn::Begin(pid_t client) {
  access_client_ = client;
  const u64 number = ++last_access_;
  access_.store(number, std::memory_order_release);
  return number;
}

void Turn::End(u64 number) {
  u64 expected = number;
  if (access_.compare_exchange_strong(expected, 0, std::memory_order_acq_rel)) return;
  Return(number);  // the watchdog gave the turn away
}

void Turn::Return(u64 number) {
  std::unique_lock lock(mutex_);
  turn_lost = true;
  const auto it = std::ranges::find(stuck_, number, &Stuck::access);
  auto call = std::move(it->call);
  if (it->is_cut_off) {
    it->returned = true;  // kept: the client stays cut off until it is gone
  } else {
    stuck_.erase(it);
    --stuck_count_;
  }
  ++returning_;
  wake_();
  free_.wait(lock, [&] { return !taken_; });
  --returning_;
  taken_ = holder_was_lost_ = true;
  call_ = std::move(call);
}

bool Turn::IsCutOff(pid_t client) {
  if (stuck_count_.load(std::memory_order_relaxed) == 0) return false;
  const pid_t process = ThreadGroupOf(client);
  const std::lock_guard lock(mutex_);
  return std::ranges::any_of(stuck_,
                             [&](const Stuck& s) { return s.is_cut_off && s.process == process; });
}

void Turn::Watch() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    stop_.wait_for(lock, kPatience);
    LookForSlowClients();
  }
}

void Turn::LookForSlowClients() {
  const auto now = std::chrono::steady_clock::now();
  for (Stuck& stuck : stuck_) {
    if (stuck.is_cut_off || now - stuck.since < kCutOff) continue;
    stuck.is_cut_off = true;
    if (stuck.call != nullptr) std::exchange(stuck.call, nullptr)->OnCutOff();
  }
  std::erase_if(stuck_, [this](const Stuck& s) {
    const bool gone = s.returned && ThreadGroupOf(s.process) == 0;
    if (gone) --stuck_count_;
    return gone;
  });
  u64 access = access_.load(std::memory_order_acquire);
  if (access == 0 || access != std::exchange(seen_access_, access)) return;
  if (stuck_count_ >= kMostStuck && !finishing_)
    return;  // each costs a thread until its client is gone
  const pid_t process = ThreadGroupOf(access_client_);
  if (!access_.compare_exchange_strong(access, 0, std::memory_order_acq_rel)) return;
  // From here to Return(), which needs the mutex, the holder is inside the access.
  Stuck stuck{access, process, now, std::exchange(call_, nullptr)};
  stuck_.push_back(std::move(stuck));
  ++stuck_count_;
  taken_ = false;
  free_.notify_all();
  // One that was lost before in the same turn has been relieved by then, and ends but once.
  if (!holder_was_lost_) relieve_();
}

}  // namespace vfiolab
