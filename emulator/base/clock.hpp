// Time as an input: it moves only when the core is told, and timers run in one defined order.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <optional>

#include "base/bytes.hpp"

namespace vfiolab {

// Nanoseconds since the machine was switched on.
using Time = std::chrono::nanoseconds;

// A timer's name; never used twice.
enum class TimerId : u64 {};

class Clock {
 public:
  Time now() const { return now_; }

  // Runs `due` once, when time reaches now() + delay; a negative delay counts as zero. Timers of
  // the same instant run in the order they were set.
  TimerId After(Time delay, std::function<void()> due);
  void Cancel(TimerId id);

  // The next instant at which AdvanceTo() would run something.
  std::optional<Time> NextDeadline() const;

  // Moves time and runs what is due, each at its own instant: a timer set by another that falls
  // due before `now` runs too. Time never goes back.
  void AdvanceTo(Time now);

 private:
  Time now_{};
  u64 last_id_ = 0;
  std::map<std::pair<Time, TimerId>, std::function<void()>> timers_;
  std::map<TimerId, Time> deadlines_;
};

}  // namespace vfiolab
