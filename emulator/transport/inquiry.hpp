// Which open file of a transport is behind a client's descriptor: where inodes do not tell, the
// emulator makes a call on a copy of it, which comes back with the file's handle.
#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <set>

#include "base/unique_fd.hpp"
#include "process/caller.hpp"
#include "transport/side_thread.hpp"

namespace vfiolab {

class Inquiry {
 public:
  // The call is an ioctl with this number and a question's number as argument. The number tells of
  // no size, so nothing is copied. To clients it is an unknown number.
  static constexpr u32 kCommand = 0x6c77;

  // Makes the call; from any thread but the core's.
  using Call = std::function<void(int fd, u64 question)>;
  // Whether the close of a file of the transport waits for the core.
  enum class Close { kAtOnce, kWaits };
  Inquiry(Call call, Close close) : call_(std::move(call)), close_(close) {}

  // `found` is what the descriptor was: 0 when it is something else by now. From any thread but the
  // core's, which is to take the call up.
  u64 Ask(pid_t tid, int fd, const struct statx& found);

  // The same in the core's turn. Meanwhile `take` is called whenever there is something to read
  // from `source`: it takes up what is an inquiry, and says false when nothing will come any more.
  // 0, too, when a client holds the asking thread up for long, or no descriptor is left.
  u64 Ask(pid_t tid, int fd, const struct statx& found, int source,
          const std::function<bool()>& take);

  // For the one who takes the call up: whether this thread is asking; the answer.
  bool IsAsking(pid_t tid);
  void Answer(u64 question, u64 handle);

 private:
  Call call_;
  Close close_;
  std::mutex mutex_;
  std::map<u64, u64> answers_;  // handles, by question
  u64 questions_ = 0;
  std::multiset<pid_t> askers_;  // threads in the call
  // Two: the core, for which the one waits, may be waiting for the other.
  std::unique_ptr<SideThread> closer_ = std::make_unique<SideThread>();
  std::unique_ptr<SideThread> asker_ = std::make_unique<SideThread>();
};

}  // namespace vfiolab
