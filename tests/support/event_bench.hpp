// A bench whose clients send messages to the family "VFIO", and what that sends to them.
#pragma once
#include <linux/genetlink.h>

#include <set>

#include "support/early_bench.hpp"
#include "support/tree_reader.hpp"

namespace vfiolab::test {

// Commands, results and states, by their numbers.
enum : u8 {
  kRemove = 1,
  kErrorDetected,
  kMmioEnabled,
  kLinkReset,
  kSlotReset,
  kErrorResume,
  kPmSuspend,
  kPmResume,
  kRegister,
  kErrorReply,
  kSuspendReply
};
inline constexpr u32 kCanRecover = 2, kNeedReset = 3, kDisconnect = 4, kRecovered = 5;
inline constexpr u64 kAllEvents = 0x1fe;

class EventBench : public EarlyBench, public NetlinkOutlet {
 public:
  struct Sent {
    NetlinkPeer to;
    u32 sequence;
    u8 command;
    std::vector<std::byte> attributes;
  };
  static constexpr NetlinkPeer kOne{1, 100}, kOther{1, 101};

  explicit EventBench(std::string_view revision = "A6", std::vector<Placed> devices = EduAlone());

  NetlinkAttributes Address(Bdf bdf = kFirst) const;
  // The errno, negative; 0.
  long Message(u8 command, const NetlinkAttributes& attributes, NetlinkPeer from = kOne,
               u32 sequence = 1, u16 flags = 0);
  long Register(u64 mask = kAllEvents, NetlinkPeer from = kOne, Bdf bdf = kFirst) {
    return Message(kRegister, Address(bdf).Add(1, mask), from);
  }
  // To the newest message.
  long ReplyToError(u32 result, NetlinkPeer from = kOne, Bdf bdf = kFirst) {
    return Message(kErrorReply, Address(bdf).Add(7, result), from, sent.back().sequence);
  }
  long ReplyToSuspend(u32 answer, NetlinkPeer from = kOne, Bdf bdf = kFirst) {
    return Message(kSuspendReply, Address(bdf).Add(8, answer), from);
  }
  // What was sent since the last question: commands.
  std::vector<int> Commands();

  // Writes that may wait. What has become of one: nothing while it waits.
  using Outcome = std::shared_ptr<std::optional<long>>;
  Outcome InjectError(std::string_view state, const std::string& device = "vfio0");
  Outcome AskForSleep(std::string_view state = "mem");
  Outcome Unbind(Bdf bdf = kFirst);

  bool Send(const NetlinkFamily& family, const NetlinkPeer& to, const NetlinkEvent& event) override;

  std::vector<Sent> sent;
  std::set<u32> deaf;  // ports that take nothing

 private:
  Outcome WriteAttribute(const std::string& path, std::string_view text);

  bool wide_;
  Directory sys_;
};

}  // namespace vfiolab::test
