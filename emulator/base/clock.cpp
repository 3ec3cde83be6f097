#include "base/clock.hpp"

#include <algorithm>

namespace vfiolab {

TimerId Clock::After(Time delay, std::function<void()> due) {
  const TimerId id{++last_id_};
  const Time deadline = now_ + std::max(delay, Time{0});
  timers_.emplace(std::pair{deadline, id}, std::move(due));
  deadlines_.emplace(id, deadline);
  return id;
}

void Clock::Cancel(TimerId id) {
  const auto it = deadlines_.find(id);
  if (it == deadlines_.end()) return;
  timers_.erase({it->second, id});
  deadlines_.erase(it);
}

std::optional<Time> Clock::NextDeadline() const {
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first.first;
}

void Clock::AdvanceTo(Time now) {
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    auto first = timers_.extract(timers_.begin());
    now_ = std::max(now_, first.key().first);
    deadlines_.erase(first.key().second);
    first.mapped()();
  }
  now_ = std::max(now_, now);
}

}  // namespace vfiolab
