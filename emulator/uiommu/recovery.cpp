#include "uiommu/recovery.hpp"

#include <fmt/format.h>

#include "uiommu/device.hpp"

namespace vfiolab::uiommu {

std::optional<ChannelState> ParseChannelState(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text == "normal") return ChannelState::kNormal;
  if (text == "frozen") return ChannelState::kFrozen;
  if (text == "failure") return ChannelState::kFailure;
  return std::nullopt;
}

void Recovery::Start(EventChannel& channel, Device& device, ChannelState state,
                     ClassAttribute::Done done) {
  if (device.listeners().question) return done(Fail(EBUSY, "an error is being handled"));
  const std::shared_ptr<Recovery> recovery(new Recovery(channel, device, state, std::move(done)));
  recovery->Ask(Message::kErrorDetected, &Recovery::OnDetected);
}

void Recovery::Ask(Message message, Step next) {
  channel_.Ask(device_, message, state_, [self = shared_from_this(), next](ErrorResult result) {
    (self.get()->*next)(result);
  });
}

void Recovery::OnDetected(ErrorResult result) {
  const bool lost = result == ErrorResult::kNone || result == ErrorResult::kDisconnect;
  if (state_ == ChannelState::kFailure || lost) return Finish(ErrorResult::kDisconnect);
  if (state_ == ChannelState::kFrozen) return Reset();
  if (result == ErrorResult::kCanRecover) return Ask(Message::kMmioEnabled, &Recovery::OnEnabled);
  OnEnabled(result);
}

void Recovery::OnEnabled(ErrorResult result) {
  if (result == ErrorResult::kNeedReset) return Reset();
  Finish(result);
}

void Recovery::Reset() {
  device_.slot().ResetFunction();
  Ask(Message::kSlotReset, &Recovery::Finish);
}

void Recovery::Finish(ErrorResult result) {
  if (result != ErrorResult::kRecovered)
    return done_(Fail(EIO, fmt::format("not recovered: {}", static_cast<u32>(result))));
  static_cast<void>(channel_.Tell(device_, Message::kErrorResume));
  done_({});
}

}  // namespace vfiolab::uiommu
