// What the kernel does when a function has met an error on the bus (drivers/pci/pcie/aer
// do_recovery of that time).
#pragma once
#include <memory>

#include "machine/class_device.hpp"
#include "uiommu/event_channel.hpp"

namespace vfiolab::uiommu {

// Asks those who listen to the device, step by step, and resets the function where they want it or
// the way to it is frozen. EIO: it is not recovered; EBUSY: it is about to be. `done` runs when
// that is known, perhaps at once.
class Recovery final : public std::enable_shared_from_this<Recovery> {
 public:
  static void Start(EventChannel& channel, Device& device, ChannelState state,
                    ClassAttribute::Done done);

 private:
  Recovery(EventChannel& channel, Device& device, ChannelState state, ClassAttribute::Done done)
      : channel_(channel), device_(device), state_(state), done_(std::move(done)) {}
  using Step = void (Recovery::*)(ErrorResult);
  void Ask(Message message, Step next);
  void OnDetected(ErrorResult result);
  void OnEnabled(ErrorResult result);
  void Reset();
  void Finish(ErrorResult result);

  EventChannel& channel_;
  Device& device_;
  ChannelState state_;
  ClassAttribute::Done done_;
};

// "normal", "frozen" or "failure", perhaps with a newline behind.
std::optional<ChannelState> ParseChannelState(std::string_view text);

}  // namespace vfiolab::uiommu
