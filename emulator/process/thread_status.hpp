// What /proc/TID/status says of a client's thread.
#pragma once
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"

namespace vfiolab {

// The names in a directory of /proc that are numbers; none when it is gone.
std::vector<int> NumbersIn(const std::string& directory);

enum class PendingSignal {
  kNone,
  kOfThread,   // it is this thread's, which will see it when its call returns
  kOfNoOther,  // all others block it now, perhaps only while a handler of theirs runs
  kOfProcess,  // this thread may get it, or another one that has not blocked it
};

class ThreadStatus {
 public:
  explicit ThreadStatus(pid_t tid);

  // Its process, as the innermost pid namespace of that numbers it; 0 when it is gone.
  u32 own_process() const;
  // Whether a signal waits that the thread has not blocked.
  PendingSignal pending() const;
  // Whether somebody traces it, who then sees also the signals that it ignores.
  bool traced() const { return Number("TracerPid", 10) != 0; }
  bool Catches(int signal) const { return (Number("SigCgt", 16) >> (signal - 1) & 1) != 0; }
  bool Blocks(int signal) const { return (Number("SigBlk", 16) >> (signal - 1) & 1) != 0; }
  pid_t process() const { return static_cast<pid_t>(Number("Tgid", 10)); }

 private:
  bool OthersBlockOneOf(u64 signals) const;
  std::string_view Field(std::string_view name) const;
  u64 Number(std::string_view name, int base) const;

  pid_t tid_;
  std::string text_;
};

}  // namespace vfiolab
