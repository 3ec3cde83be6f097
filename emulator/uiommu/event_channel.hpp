// The family "VFIO" of generic netlink: how clients hear of what happens to a device, and say what
// they make of it (drivers/vfio/vfio_netlink.c of 2010 and 2011).
#pragma once
#include <functional>
#include <map>
#include <optional>

#include "machine/machine.hpp"
#include "uiommu/revision.hpp"
#include "vfs/netlink.hpp"

namespace vfiolab::uiommu {

class Device;

// Commands. The first ones go to clients, those from kRegister on come from them.
enum class Message : u8 {
  kRemove = 1,
  kErrorDetected,
  kMmioEnabled,
  kLinkReset,  // nothing in drivers/pci asked for it
  kSlotReset,
  kErrorResume,
  kPmSuspend,
  kPmResume,
  kRegister,
  kErrorHandlingReply,
  kPmSuspendReply,
};

// linux/pci.h: what a driver makes of an error.
enum class ErrorResult : u32 { kNone = 1, kCanRecover, kNeedReset, kDisconnect, kRecovered };
// And in what state the way to the device is.
enum class ChannelState : u32 { kNormal = 1, kFrozen, kFailure };

// What the channel keeps of a device.
struct Listeners {
  std::map<NetlinkPeer, u64> masks;  // who has registered; bit n: for command n
  // The last reply about an error.
  u32 reply_sequence = 0;
  u32 reply = 0;
  // Who waits for one.
  struct Question {
    u32 sequence;
    TimerId timeout;
    std::function<void(ErrorResult)> answered;
  };
  std::optional<Question> question;
};

class EventChannel final : public NetlinkFamily {
 public:
  static constexpr std::chrono::seconds kErrorPatience{3}, kSuspendPatience{5};

  // `find` gives the device of a function that the driver has and shall keep; null.
  EventChannel(Machine& machine, const Revision& revision, std::function<Device*(Bdf)> find)
      : machine_(machine), revision_(revision), find_(std::move(find)) {}
  ~EventChannel() override;

  // NetlinkFamily. EINVAL: a message without what it needs; no such device; to register for nothing
  // (with `nothing_deregisters`: who is not registered); a reply about a device that is not open.
  // ERANGE: an attribute is too short. EOPNOTSUPP: no such command.
  std::string_view name() const override { return "VFIO"; }
  u8 version() const override { return 1; }
  u32 max_attribute() const override;
  std::vector<u8> commands() const override;
  Result<> Handle(const NetlinkRequest& request) override;

  // Tells those who registered for it; nothing when that did not reach them.
  std::optional<u32> Tell(Device& device, Message message, ChannelState state = {});
  // The same, and waits for a reply. `answered` runs when it is there, or will not come (kNone);
  // perhaps at once. One at a time for each device.
  void Ask(Device& device, Message message, ChannelState state,
           std::function<void(ErrorResult)> answered);
  // The last file of the device is closed.
  void OnClosed(Device& device);
  // The device goes; nobody will reply.
  void OnGone(Device& device);

  // Asks all who use `devices`, which are open, whether the machine may sleep. EINVAL: somebody
  // does not want it, or has not said so in time, or cannot be asked. EBUSY: it is being asked
  // already.
  void AskForSleep(const std::vector<Device*>& devices, std::function<void(Result<>)> done);

 private:
  struct Rule;
  static const Rule* RuleOf(u8 command);
  NetlinkAttributes AddressOf(Bdf bdf) const;
  bool SendTo(const NetlinkPeer& peer, const NetlinkEvent& event);
  std::size_t WidthOf(u16 attribute) const;
  Result<Device*> FindDevice(std::span<const std::byte> attributes) const;
  Result<> Register(const NetlinkRequest& request, std::span<const std::byte> attributes);
  Result<> ReplyToError(const NetlinkRequest& request, std::span<const std::byte> attributes);
  Result<> ReplyToSuspend(const NetlinkRequest& request, std::span<const std::byte> attributes);
  void FinishQuestion(Listeners& listeners, ErrorResult result);
  void FinishSleep(bool allowed);

  Machine& machine_;
  const Revision& revision_;
  std::function<Device*(Bdf)> find_;
  u32 sequence_ = 0;
  struct Sleep {
    int missing;  // replies
    bool vetoed;
    TimerId timeout;
    std::function<void(Result<>)> done;
  };
  std::optional<Sleep> sleep_;
};

}  // namespace vfiolab::uiommu
