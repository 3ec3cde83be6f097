// A client thread in a read or write whose buffer the emulator itself reaches: what is moved, and
// where it ends, is as exact as the kernel's own copies.
#pragma once
#include <fmt/format.h>

#include <boost/container/small_vector.hpp>

#include "process/caller.hpp"

namespace vfiolab {

// A read: Read(bytes()), then Flush(). A write: Fetch(), then Write(bytes()). `Base` is a caller
// with ReadSome(from, to), which tells how many bytes can be had, and Write(to, from).
template <class Base>
class BufferOf final : public Base {
 public:
  // `base` are the arguments of Base's constructor.
  template <class... Arguments>
  BufferOf(ClientAddress buffer, std::size_t size, Arguments&&... base)
      : Base(std::forward<Arguments>(base)...), buffer_(buffer), bytes_(size) {}

  std::span<std::byte> bytes() { return {bytes_.data(), bytes_.size()}; }
  // Takes what the client's buffer has. What is out of reach fails when it is needed.
  void Fetch() { reached_ = this->ReadSome(buffer_, bytes()); }
  // Gives the client the rest of what was read, also when the read then failed. EFAULT.
  Result<> Flush() {
    const std::size_t from = std::exchange(reached_, made_);
    if (from == made_) return {};
    return this->Write(buffer_ + from, bytes().subspan(from, made_ - from));
  }

  Result<> FromClient(std::span<const std::byte> part) override {
    if (EndOf(part) <= reached_) return {};
    return Fail(EFAULT,
                fmt::format("the buffer ends after {} of {} bytes", reached_, bytes_.size()));
  }
  // Writes to each page of the client with its first piece, and the others together.
  Result<> ToClient(std::span<const std::byte> part) override {
    made_ = EndOf(part);
    const auto page = [&](std::size_t count) { return (Raw(buffer_) + count - 1) / kPageSize; };
    if (reached_ > 0 && page(made_) == page(reached_)) return {};
    return Flush();
  }

 private:
  std::size_t EndOf(std::span<const std::byte> part) const {
    return static_cast<std::size_t>(part.data() - bytes_.data()) + part.size();
  }

  ClientAddress buffer_;
  boost::container::small_vector<std::byte, 64> bytes_;
  std::size_t reached_ = 0;  // bytes that have been moved from or to the client
  std::size_t made_ = 0;     // bytes that were read
};

using BufferCaller = BufferOf<Caller>;

}  // namespace vfiolab
