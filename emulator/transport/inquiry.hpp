// Which open file of a transport is behind a client's descriptor: where inodes do not tell, the
// emulator makes a call on a copy of it, which comes back with the file's handle.
#pragma once
#include <functional>
#include <map>
#include <mutex>

#include "base/unique_fd.hpp"
#include "process/caller.hpp"
#include "transport/side_thread.hpp"

namespace vfiolab {

class Inquiry {
 public:
  // The call is an ioctl with this number and a question's number as argument. The number tells of
  // no size, so nothing is copied. To clients it is an unknown number.
  static constexpr u32 kCommand = 0x6c77;

  // Both from any thread but the core's: whether a file is of the transport; the call.
  struct Transport {
    std::function<bool(const struct statx& found)> owns;
    std::function<void(int fd, u64 question)> call;
  };
  explicit Inquiry(Transport transport);

  // 0 when there is no such file, or the client has put another one in its place. From any thread
  // but the core's, which is to take the call up.
  u64 Ask(pid_t tid, int fd);

  // The same in the core's turn. Meanwhile `take` is called whenever there is something to read
  // from `source`: it takes up what is an inquiry, and says false when nothing will come any more.
  u64 Ask(pid_t tid, int fd, int source, const std::function<bool()>& take);

  // For the one who takes the call up.
  void Answer(u64 question, u64 handle);

 private:
  u64 AskCopy(int fd);

  Transport transport_;
  std::mutex mutex_;
  std::map<u64, u64> answers_;  // handles, by question
  u64 questions_ = 0;
  UniqueFd answered_;
  // Two threads: the close of a file waits for the core, which may be waiting for the other one.
  SideThread asker_, closer_;
};

}  // namespace vfiolab
