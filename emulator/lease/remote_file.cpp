#include "lease/remote_file.hpp"

#include <fmt/format.h>

namespace vfiolab::lease {

std::string RemoteFile::Name() const { return fmt::format("[remote {:x}]", facts_.file); }

Result<Owner::Answered> RemoteFile::Ask(Request::Kind kind, std::array<u64, 6> arguments,
                                        std::span<const std::byte> bytes) const {
  auto answered = owner_.Ask(
      {.kind = kind, .lease = facts_.lease, .file = facts_.file, .arguments = arguments}, bytes);
  if (answered || answered.error().code != Owner::kGone) return answered;
  gone_ = true;
  if (!is_regular()) SayGone();
  return Fail(ENODEV, answered.error().reason);
}

Reply RemoteFile::Ioctl(CallContext&, u32 command, u64 argument) {
  return owner_.Complete(TRY(Ask(Request::Kind::kIoctl, {command, argument})));
}

Reply RemoteFile::Seek(off_t offset, int whence) {
  return owner_.Complete(
      TRY(Ask(Request::Kind::kSeek, {static_cast<u64>(offset), static_cast<u64>(whence)})));
}

Reply RemoteFile::Fetch(Request::Kind kind, std::span<std::byte> to, u64 offset) {
  const Owner::Answered answered = TRY(Ask(kind, {to.size(), offset}));
  const std::size_t size = std::min(answered.bytes.size(), to.size());
  std::copy_n(answered.bytes.begin(), size, to.begin());
  return answered.head.value;
}

Reply RemoteFile::Read(CallContext& caller, std::span<std::byte> to, u64 offset) {
  Reply reply = Fetch(Request::Kind::kRead, to, offset);
  const Result<long>& moved = reply.completion().value;
  if (moved && *moved > 0) TRY(caller.ToClient(to.first(static_cast<std::size_t>(*moved))));
  return reply;
}

Reply RemoteFile::Write(CallContext& caller, std::span<const std::byte> from, u64 offset) {
  // The file may refuse the write before it looks at what the client has not.
  std::size_t reached = from.size();
  if (!caller.FromClient(from))
    for (std::size_t missing = std::exchange(reached, 0); missing - reached > 1;) {
      const std::size_t between = (reached + missing) / 2;
      (caller.FromClient(from.first(between)) ? reached : missing) = between;
    }
  return TRY(Ask(Request::Kind::kWrite, {offset, reached}, from)).head.value;
}

Reply RemoteFile::Load(CallContext&, std::span<std::byte> to, u64 offset) {
  return Fetch(Request::Kind::kLoad, to, offset);
}

Reply RemoteFile::Store(CallContext&, std::span<const std::byte> from, u64 offset) {
  return TRY(Ask(Request::Kind::kStore, {offset}, from)).head.value;
}

Result<u64> RemoteFile::Mmap(CallContext&, const MmapRequest& request) {
  Owner::Answered answered = TRY(
      Ask(Request::Kind::kMmap, {request.offset, request.length, request.shared, request.writes}));
  memory_ = std::move(answered.descriptor);
  traps_ = answered.head.traps;
  return static_cast<u64>(answered.head.value);
}

}  // namespace vfiolab::lease
