#include "process/buffer_caller.hpp"

#include <fmt/format.h>

namespace vfiolab {

Result<> BufferCaller::FromClient(std::span<const std::byte> part) {
  if (EndOf(part) <= reached_) return {};
  return Fail(EFAULT, fmt::format("the buffer ends after {} of {} bytes", reached_, bytes_.size()));
}

Result<> BufferCaller::ToClient(std::span<const std::byte> part) {
  made_ = EndOf(part);
  const auto page = [&](std::size_t count) { return (Raw(buffer_) + count - 1) / kPageSize; };
  if (reached_ > 0 && page(made_) == page(reached_)) return {};
  return Flush();
}

Result<> BufferCaller::Flush() {
  const std::size_t from = std::exchange(reached_, made_);
  if (from == made_) return {};
  return Write(buffer_ + from, std::span{bytes_}.subspan(from, made_ - from));
}

}  // namespace vfiolab
