#include "uiommu/event_channel.hpp"

#include <fmt/format.h>
#include <linux/genetlink.h>

#include "uiommu/device.hpp"

namespace vfiolab::uiommu {
namespace {

enum Attribute : u16 {
  kMask = 1,
  kPciDomain,
  kPciBus,
  kPciSlot,
  kPciFunction,
  kChannelState,
  kErrorReply,
  kSuspendReply,
};

// linux/notifier.h: nothing against it.
constexpr u32 kNotifyDone = 0;

}  // namespace

// What a command of a client needs, beside the place of the function.
struct EventChannel::Rule {
  Message message;
  u16 attribute;
  Result<> (EventChannel::*handle)(const NetlinkRequest&, std::span<const std::byte>);
};

const EventChannel::Rule* EventChannel::RuleOf(u8 command) {
  static constexpr std::array kRules{
      Rule{Message::kRegister, kMask, &EventChannel::Register},
      Rule{Message::kErrorHandlingReply, kErrorReply, &EventChannel::ReplyToError},
      Rule{Message::kPmSuspendReply, kSuspendReply, &EventChannel::ReplyToSuspend}};
  const auto rule = std::ranges::find(kRules, Message{command}, &Rule::message);
  return rule == kRules.end() ? nullptr : &*rule;
}

EventChannel::~EventChannel() {
  if (sleep_) machine_.clock().Cancel(sleep_->timeout);
}

u32 EventChannel::max_attribute() const { return kSuspendReply; }

std::vector<u8> EventChannel::commands() const {
  return {static_cast<u8>(Message::kRegister), static_cast<u8>(Message::kErrorHandlingReply),
          static_cast<u8>(Message::kPmSuspendReply)};
}

std::size_t EventChannel::WidthOf(u16 attribute) const {
  switch (attribute) {
    case kMask:
      return sizeof(u64);
    case kPciDomain:
      return revision_.wide_addresses ? sizeof(u32) : sizeof(u16);
    case kPciBus:
      return revision_.wide_addresses ? sizeof(u16) : sizeof(u8);
    case kPciSlot:
    case kPciFunction:
      return sizeof(u8);
    default:
      return sizeof(u32);
  }
}

// net/netlink/genetlink.c genl_rcv_msg. The kernel of that time looked for no attribute before it
// used it.
Result<> EventChannel::Handle(const NetlinkRequest& request) {
  if (request.payload.size() < sizeof(genlmsghdr)) return Fail(EINVAL, "no generic header");
  const auto command = static_cast<u8>(request.payload[0]);
  const Rule* rule = RuleOf(command);
  if (rule == nullptr || (request.flags & NLM_F_DUMP) == NLM_F_DUMP)
    return Fail(EOPNOTSUPP, fmt::format("command {}", command));
  const auto attributes = request.payload.subspan(GENL_HDRLEN);
  const std::array needed{rule->attribute, u16{kPciDomain}, u16{kPciBus}, u16{kPciSlot},
                          u16{kPciFunction}};
  bool complete = true;
  for (const u16 type : needed) {
    const auto found = FindAttribute(attributes, type);
    complete = complete && found;
    if (found && found->size() < WidthOf(type))
      return Fail(ERANGE, fmt::format("attribute {} has {} bytes", type, found->size()));
  }
  if (!complete) return Fail(EINVAL, "an attribute is missing");
  return (this->*rule->handle)(request, attributes);
}

Result<Device*> EventChannel::FindDevice(std::span<const std::byte> attributes) const {
  const auto number = [&](u16 type) {
    return LoadLittleEndian(FindAttribute(attributes, type)->first(WidthOf(type)));
  };
  const u64 domain = number(kPciDomain), bus = number(kPciBus);
  const u64 slot = number(kPciSlot), function = number(kPciFunction);
  const bool fits = domain <= 0xffff && bus <= 0xff && slot < 32 && function < 8;
  Device* device = fits ? find_({static_cast<u16>(domain), static_cast<u8>(bus),
                                 static_cast<u8>(slot), static_cast<u8>(function)})
                        : nullptr;
  if (device != nullptr) return device;
  return Fail(EINVAL,
              fmt::format("{:x}:{:x}:{:x}.{:x} is not the driver's", domain, bus, slot, function));
}

Result<> EventChannel::Register(const NetlinkRequest& request,
                                std::span<const std::byte> attributes) {
  constexpr std::size_t kMost = 1024;  // for each device
  const u64 mask = LoadLittleEndian(*FindAttribute(attributes, kMask));
  if (mask == 0 && !revision_.nothing_deregisters) return Fail(EINVAL, "registers for nothing");
  auto& masks = TRY(FindDevice(attributes))->listeners().masks;
  if (mask == 0) {
    if (masks.erase(request.from) == 0) return Fail(EINVAL, "not registered");
    return {};
  }
  if (masks.size() >= kMost && !masks.contains(request.from))
    return Fail(ENOMEM, "too many have registered");
  masks[request.from] = mask;
  return {};
}

// Replies count up: one that is older than the last is not looked at, and one that is newer than
// the question ends it without an answer.
Result<> EventChannel::ReplyToError(const NetlinkRequest& request,
                                    std::span<const std::byte> attributes) {
  Listeners& listeners = TRY(FindDevice(attributes))->listeners();
  if (request.sequence <= listeners.reply_sequence) return {};
  listeners.reply_sequence = request.sequence;
  listeners.reply = static_cast<u32>(LoadLittleEndian(*FindAttribute(attributes, kErrorReply)));
  const auto& question = listeners.question;
  if (!question || request.sequence < question->sequence) return {};
  FinishQuestion(listeners, request.sequence == question->sequence ? ErrorResult{listeners.reply}
                                                                   : ErrorResult::kNone);
  return {};
}

Result<> EventChannel::ReplyToSuspend(const NetlinkRequest&,
                                      std::span<const std::byte> attributes) {
  Device& device = *TRY(FindDevice(attributes));
  if (!device.function().open()) return Fail(EINVAL, "nobody has the device open");
  if (!sleep_) return {};
  if (LoadLittleEndian(*FindAttribute(attributes, kSuspendReply)) != kNotifyDone)
    sleep_->vetoed = true;
  if (--sleep_->missing == 0) FinishSleep(!sleep_->vetoed);
  return {};
}

NetlinkAttributes EventChannel::AddressOf(Bdf bdf) const {
  NetlinkAttributes attributes;
  if (revision_.wide_addresses)
    attributes.Add(kPciDomain, u32{bdf.segment}).Add(kPciBus, u16{bdf.bus});
  else
    attributes.Add(kPciDomain, bdf.segment).Add(kPciBus, bdf.bus);
  return attributes.Add(kPciSlot, bdf.device).Add(kPciFunction, bdf.function);
}

// Whether it arrives is an input: the core cannot know which sockets are left.
bool EventChannel::SendTo(const NetlinkPeer& peer, const NetlinkEvent& event) {
  machine_.trace().Output([&] {
    return fmt::format("message {} net={} port={} seq={} command {} {}", name(), peer.net,
                       peer.port, event.sequence, event.command, Hex(event.attributes.bytes()));
  });
  const bool arrived = Send(peer, event);
  if (!arrived)
    machine_.trace().Input([&] { return fmt::format("undelivered port={}", peer.port); });
  return arrived;
}

std::optional<u32> EventChannel::Tell(Device& device, Message message, ChannelState state) {
  NetlinkEvent event{++sequence_, static_cast<u8>(message), AddressOf(device.slot().bdf())};
  if (message == Message::kErrorDetected)
    event.attributes.Add(kChannelState, static_cast<u32>(state));
  unsigned wanted = 0, reached = 0;
  for (const auto& [peer, mask] : device.listeners().masks) {
    if ((mask >> event.command & 1) == 0) continue;
    ++wanted;
    if (SendTo(peer, event)) ++reached;
  }
  if (reached == 0 || (revision_.all_must_hear && reached < wanted)) return std::nullopt;
  return event.sequence;
}

void EventChannel::Ask(Device& device, Message message, ChannelState state,
                       std::function<void(ErrorResult)> answered) {
  Listeners& listeners = device.listeners();
  const auto sequence = Tell(device, message, state);
  if (!sequence || listeners.reply_sequence > *sequence) return answered(ErrorResult::kNone);
  const TimerId timeout = machine_.clock().After(
      kErrorPatience, [this, &listeners] { FinishQuestion(listeners, ErrorResult::kNone); });
  listeners.question = {*sequence, timeout, std::move(answered)};
}

void EventChannel::FinishQuestion(Listeners& listeners, ErrorResult result) {
  const Listeners::Question question = *std::exchange(listeners.question, std::nullopt);
  machine_.clock().Cancel(question.timeout);
  question.answered(result);
}

void EventChannel::OnClosed(Device& device) {
  if (revision_.forgets_listeners) device.listeners().masks.clear();
}

void EventChannel::OnGone(Device& device) {
  device.listeners().masks.clear();
  if (device.listeners().question) FinishQuestion(device.listeners(), ErrorResult::kNone);
}

// drivers/vfio/vfio_main.c vfio_pm_suspend.
void EventChannel::AskForSleep(const std::vector<Device*>& devices,
                               std::function<void(Result<>)> done) {
  if (sleep_) return done(Fail(EBUSY, "the machine is being asked already"));
  int told = 0;
  for (Device* device : devices)
    if (Tell(*device, Message::kPmSuspend)) ++told;
  if (devices.empty()) return done({});
  sleep_ = {told, false, {}, std::move(done)};
  if (told < static_cast<int>(devices.size())) return FinishSleep(false);
  sleep_->timeout = machine_.clock().After(kSuspendPatience, [this] { FinishSleep(false); });
}

// kernel/power/main.c pm_notifier_call_chain makes EINVAL of every veto.
void EventChannel::FinishSleep(bool allowed) {
  const Sleep sleep = *std::exchange(sleep_, std::nullopt);
  machine_.clock().Cancel(sleep.timeout);
  sleep.done(allowed ? Result<>{} : Fail(EINVAL, "a client does not let the machine sleep"));
}

}  // namespace vfiolab::uiommu
