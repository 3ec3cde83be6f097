// A client thread in a read or write whose buffer the emulator itself reaches: what is moved, and
// where it ends, is as exact as the kernel's own copies.
#pragma once
#include "process/caller.hpp"

namespace vfiolab {

// A read: Read(bytes()), then Flush(). A write: Fetch(), then Write(bytes()).
class BufferCaller final : public Caller {
 public:
  BufferCaller(CallerServices& services, pid_t tid, ClientAddress buffer, std::size_t size)
      : Caller(services, tid), buffer_(buffer), bytes_(size) {}

  std::span<std::byte> bytes() { return bytes_; }
  // Takes what the client's buffer has. What is out of reach fails when it is needed.
  void Fetch() { reached_ = ReadSome(buffer_, bytes_); }
  // Gives the client the rest of what was read, also when the read then failed. EFAULT.
  Result<> Flush();

  Result<> FromClient(std::span<const std::byte> part) override;
  // Writes to each page of the client with its first piece, and the others together.
  Result<> ToClient(std::span<const std::byte> part) override;

 private:
  std::size_t EndOf(std::span<const std::byte> part) const {
    return static_cast<std::size_t>(part.data() - bytes_.data()) + part.size();
  }

  ClientAddress buffer_;
  std::vector<std::byte> bytes_;
  std::size_t reached_ = 0;  // bytes that have been moved from or to the client
  std::size_t made_ = 0;     // bytes that were read
};

}  // namespace vfiolab
