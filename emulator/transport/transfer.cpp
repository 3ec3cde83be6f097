#include "transport/transfer.hpp"

#include <limits.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>

#include "process/buffer_caller.hpp"

namespace vfiolab {
namespace {

// Others have their turn where an offset is a multiple of this, and so of each step of a region.
constexpr u64 kMostAtOnce = 1_MiB;
constexpr u64 kMostInAll = INT_MAX & ~(kPageSize - 1);  // MAX_RW_COUNT

constexpr std::array kWrites{SYS_write, SYS_writev, SYS_pwrite64, SYS_pwritev, SYS_pwritev2};
constexpr std::array kOfOneBuffer{SYS_read, SYS_write, SYS_pread64, SYS_pwrite64};
constexpr std::array kWithFlags{SYS_preadv2, SYS_pwritev2};

bool IsOneOf(const TrappedCall& call, std::span<const int> numbers) {
  return std::ranges::count(numbers, call.number()) != 0;
}

bool IsAtPosition(const TrappedCall& call) {
  return IsOneOf(call, Transfer::kAtPosition) ||
         (IsOneOf(call, kWithFlags) && call.argument(3) == ~u64{0});
}

}  // namespace

bool Transfer::Is(const TrappedCall& call) {
  return IsOneOf(call, kAtOffset) || IsOneOf(call, kAtPosition);
}

Transfer::Transfer(EventLoop& loop, FileCalls& calls, std::shared_ptr<TrappedCall> call,
                   std::shared_ptr<OpenFile> file)
    : loop_(loop),
      calls_(calls),
      call_(std::move(call)),
      file_(std::move(file)),
      writes_(IsOneOf(*call_, kWrites)),
      at_position_(IsAtPosition(*call_)),
      start_(at_position_ ? file_->position() : call_->argument(3)),
      offset_(start_) {}

void Transfer::Start(EventLoop& loop, FileCalls& calls, std::shared_ptr<TrappedCall> call,
                     std::shared_ptr<OpenFile> file) {
  const std::shared_ptr<Transfer> transfer(
      new Transfer(loop, calls, std::move(call), std::move(file)));
  const OpenFile& opened = *transfer->file_;
  if (!opened.can_transfer() && (transfer->at_position_ || opened.takes_offsets()))
    return transfer->Refuse();
  transfer->segments_ = transfer->FindSegments();
  if (transfer->segments_.empty()) return transfer->call_->Continue();
  if (transfer->WantsMoreOfTheFile()) return transfer->call_->FailWith(EOPNOTSUPP);
  transfer->Continue();
}

std::vector<Transfer::Segment> Transfer::FindSegments() const {
  constexpr u64 kEndOfAddresses = 0x7ffffffff000;
  if (!file_->takes_offsets() || !call_->OpenedFor(call_->descriptor(), !writes_, writes_))
    return {};
  if (offset_ > LONG_MAX - kMostInAll) return {};
  const bool vector = !IsOneOf(*call_, kOfOneBuffer);
  auto segments =
      vector ? ReadVector() : std::vector<Segment>{{call_->argument(1), call_->argument(2)}};
  u64 total = 0;
  for (Segment& segment : segments) {
    if (segment.size > kEndOfAddresses || segment.address > kEndOfAddresses - segment.size)
      return {};
    segment.size = std::min(segment.size, kMostInAll - total);
    total += segment.size;
  }
  if (vector) std::erase_if(segments, [](const Segment& segment) { return segment.size == 0; });
  return segments;
}

std::vector<Transfer::Segment> Transfer::ReadVector() const {
  const u64 count = call_->argument(2);
  if (count > IOV_MAX) return {};
  std::vector<iovec> vector(count);
  Caller caller(calls_.services(), call_->tid());
  CallContext& context = caller;
  if (!context.memory().Read(ClientAddress{call_->argument(1)},
                             std::as_writable_bytes(std::span{vector})))
    return {};
  std::vector<Segment> segments;
  for (const iovec& part : vector)
    segments.push_back({reinterpret_cast<u64>(part.iov_base), part.iov_len});
  return segments;
}

// fs/read_write.c do_loop_readv_writev.
bool Transfer::WantsMoreOfTheFile() const {
  return IsOneOf(*call_, kWithFlags) && (call_->argument32(5) & ~u32{RWF_HIPRI}) != 0;
}

// The kernel asks how the file was opened, and refuses before it looks at the buffer.
void Transfer::Refuse() {
  if (!call_->OpenedFor(call_->descriptor(), !writes_, writes_)) return call_->Continue();
  Caller caller(calls_.services(), call_->tid());
  Reply reply = writes_ ? loop_.door().Write(loop_.Now(), caller, *file_, {}, 0)
                        : loop_.door().Read(loop_.Now(), caller, *file_, {}, 0);
  Finish(std::move(reply.completion().value));
}

Result<long> Transfer::Move(std::size_t size) {
  BufferCaller caller(ClientAddress{segments_[segment_].address + at_}, size, calls_.services(),
                      call_->tid());
  const auto value_of = [](Reply reply) -> Result<long> {
    if (reply.deferred()) return Fail(EAGAIN, "no device's file defers a transfer");
    return std::move(reply.completion().value);
  };
  if (writes_) {
    caller.Fetch();
    return value_of(loop_.door().Write(loop_.Now(), caller, *file_, caller.bytes(), offset_));
  }
  const Result<long> value =
      value_of(loop_.door().Read(loop_.Now(), caller, *file_, caller.bytes(), offset_));
  const Result<> flushed = caller.Flush();
  if (value && !flushed) return Failure{flushed.error()};
  return value;
}

void Transfer::Continue() {
  const u64 left = segments_[segment_].size - at_;
  const auto size = static_cast<std::size_t>(std::min(left, kMostAtOnce - offset_ % kMostAtOnce));
  const Result<long> moved = Move(size);
  // The region ended with the last piece.
  if (!moved && moved.error().code == EINVAL && at_ > 0) return Finish(static_cast<long>(at_));
  if (!moved) return Finish(moved);
  at_ += static_cast<u64>(*moved);
  offset_ += static_cast<u64>(*moved);
  if (static_cast<std::size_t>(*moved) < size) return Finish(static_cast<long>(at_));
  if (at_ == segments_[segment_].size) {
    if (segment_ + 1 == segments_.size()) return Finish(static_cast<long>(at_));
    done_ += static_cast<long>(std::exchange(at_, 0));
    ++segment_;
  }
  boost::asio::post(loop_.context(), [self = shared_from_this()] {
    const Turn::Call under_way(self->loop_.turn(), self->call_);
    if (self->call_->waits()) self->Continue();
  });
}

void Transfer::Finish(Result<long> last) {
  if (!last && done_ == 0) return call_->FailWith(last.error().code);
  done_ += last ? *last : 0;
  if (at_position_) file_->set_position(start_ + static_cast<u64>(done_));
  call_->Return(done_);
}

}  // namespace vfiolab
