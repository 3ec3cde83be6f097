// Reads and writes of a device's file. FUSE looks at the client's buffer before it tells
// anyone of the call, hands over no more of it than is there, and joins the parts of a preadv: here
// the file meets the buffer as it would meet it in the kernel.
#pragma once
#include <sys/syscall.h>

#include <array>
#include <vector>

#include "transport/file_calls.hpp"
#include "transport/trapped_call.hpp"

namespace vfiolab {

class Transfer final : public std::enable_shared_from_this<Transfer> {
 public:
  // The last two begin at the file's position where they are given -1.
  static constexpr std::array<int, 6> kAtOffset{SYS_pread64, SYS_pwrite64, SYS_preadv,
                                                SYS_pwritev, SYS_preadv2,  SYS_pwritev2};
  static constexpr std::array<int, 4> kAtPosition{SYS_read, SYS_write, SYS_readv, SYS_writev};

  static bool Is(const TrappedCall& call);
  // Makes the transfer, or leaves it to the kernel where it is refused for any file. In the core's
  // turn; a long one goes on after others have had theirs.
  static void Start(EventLoop& loop, FileCalls& calls, std::shared_ptr<TrappedCall> call,
                    std::shared_ptr<OpenFile> file);

 private:
  // A part of the client's buffer: the file sees one call for each, as of a driver without
  // iterators.
  struct Segment {
    u64 address;
    u64 size;
  };

  Transfer(EventLoop& loop, FileCalls& calls, std::shared_ptr<TrappedCall> call,
           std::shared_ptr<OpenFile> file);
  // None where the kernel has something to refuse, or nothing to move.
  std::vector<Segment> FindSegments() const;
  std::vector<Segment> ReadVector() const;
  bool WantsMoreOfTheFile() const;
  // Of a file that has no read and write.
  void Refuse();
  void Continue();
  Result<long> Move(std::size_t size);
  void Finish(Result<long> last);

  EventLoop& loop_;
  FileCalls& calls_;
  std::shared_ptr<TrappedCall> call_;
  std::shared_ptr<OpenFile> file_;
  bool writes_;
  bool at_position_;
  u64 start_;   // the offset of the first byte
  u64 offset_;  // of the next one
  std::vector<Segment> segments_;
  std::size_t segment_ = 0;  // the one under way
  u64 at_ = 0;               // how far that has come
  long done_ = 0;            // bytes of those before it
};

}  // namespace vfiolab
