// What processes say to the one that has the lease, and how.
#pragma once
#include <sys/types.h>

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/unique_fd.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab::lease {

// A call that its owner is to make. What it moves lies in the caller's memory, but for reads and
// writes, loads and stores, whose bytes are in the message.
struct Request {
  enum class Kind : u32 {
    kOpen,        // arguments: flags; bytes: the path
    kFind,        // a file that the caller has got from another process
    kIoctl,       // command, argument
    kRead,        // size, offset
    kWrite,       // offset, how many of the bytes could be had of the caller; bytes
    kSeek,        // offset, whence
    kMmap,        // offset, length, shared, writes
    kLoad,        // size, offset
    kStore,       // offset; bytes
    kUnmap,       // address, size
    kAttributes,  // mode, user, group, each one more than it is, 0: none; bytes: the path
    kNetlink,     // as the kernel gets them; bytes: the call's number
  };
  Kind kind;
  pid_t tid = 0;
  u64 lease = 0;
  u64 file = 0;
  std::array<u64, 6> arguments{};
};

// What the caller has to know of a file.
struct FileFacts {
  u64 lease = 0;
  u64 file = 0;
  u64 size = 0;
  bool is_regular = false;
  bool has_node = false;
  bool can_poll = false;
  bool takes_offsets = false;
  bool can_transfer = false;

  static FileFacts Of(const OpenFile& file);
};

// With a descriptor where there is one to have: of what was opened, or the memory to be mapped.
struct Answer {
  long value = 0;  // or -errno
  bool opened = false;
  FileFacts facts;
  int open_flags = 0;
  bool traps = false;  // of mmap
};

// One way from process to process.
class Channel {
 public:
  // How long whoever waits for a message stays awake.
  static constexpr std::chrono::microseconds kAwake{50};

  explicit Channel(UniqueFd socket) : socket_(std::move(socket)) {}
  int fd() const { return socket_.get(); }

  // False: nobody is there any more.
  template <class Head>
  bool Send(const Head& head, std::span<const std::byte> bytes, int descriptor = -1) {
    return SendParts(BytesOf(head), bytes, descriptor);
  }

  template <class Head>
  struct Received {
    Head head;
    std::vector<std::byte> bytes;
    UniqueFd descriptor;
  };
  // Nothing, with `gone()`: nobody is there any more; else nothing has come yet.
  template <class Head>
  std::optional<Received<Head>> Receive(bool waits) {
    Received<Head> received{};
    if (!ReceiveParts(std::as_writable_bytes(std::span{&received.head, 1}), received.bytes,
                      received.descriptor, waits))
      return std::nullopt;
    return received;
  }
  bool gone() const { return gone_; }

 private:
  bool SendParts(std::span<const std::byte> head, std::span<const std::byte> bytes, int descriptor);
  bool ReceiveParts(std::span<std::byte> head, std::vector<std::byte>& bytes, UniqueFd& descriptor,
                    bool waits);

  UniqueFd socket_;
  bool gone_ = false;
};

}  // namespace vfiolab::lease
