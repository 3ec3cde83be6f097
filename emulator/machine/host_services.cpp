#include "machine/host_services.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "machine/machine.hpp"

namespace vfiolab {

Result<std::shared_ptr<Ioas>, Fault> HostServices::OpenGate(Blocked blocked, Access access, Iova at,
                                                            u64 length) const {
  if (blocked) return Failure{Fault{*blocked, access, at, length}};
  auto ioas = own_ioas_ != nullptr || group_ == nullptr ? own_ioas_ : group_->ioas();
  if (ioas == nullptr) return Failure{Fault{FaultReason::kNotAttached, access, at, length}};
  return ioas;
}

Failure<DmaFault> HostServices::Stop(const Fault& fault) {
  machine_.RecordFault(name_, fault);
  return {DmaFault{fault.at, Text(fault.reason)}};
}

Result<Success, DmaFault> HostServices::DmaRead(Iova from, std::span<std::byte> to,
                                                Blocked blocked) {
  const auto gate = OpenGate(blocked, Access::kRead, from, to.size());
  if (!gate) return Stop(gate.error());
  const auto moved = (*gate)->Read(from, to);
  // Client memory is an input: two runs that read the same bytes go the same way.
  machine_.trace().Input([&] {
    return fmt::format("dma-read {} iova={:#x} {} bytes {}", name_, Raw(from), to.size(),
                       moved ? Hex(to) : std::string("faulted"));
  });
  if (!moved) return Stop(moved.error());
  return {};
}

Result<Success, DmaFault> HostServices::DmaWrite(Iova to, std::span<const std::byte> from,
                                                 Blocked blocked) {
  const auto gate = OpenGate(blocked, Access::kWrite, to, from.size());
  if (!gate) return Stop(gate.error());
  machine_.trace().Output([&] {
    return fmt::format("dma-write {} iova={:#x} {} bytes {}", name_, Raw(to), from.size(),
                       Hex(from));
  });
  const auto moved = (*gate)->Write(to, from);
  if (!moved) return Stop(moved.error());
  return {};
}

void HostServices::After(std::chrono::nanoseconds delay, std::function<void()> due) {
  auto id = std::make_shared<TimerId>();
  *id = machine_.clock().After(delay, [this, id, due = std::move(due)] {
    timers_.erase(*id);
    due();
  });
  timers_.insert(*id);
}

void HostServices::CancelTimers() {
  for (const TimerId id : timers_) machine_.clock().Cancel(id);
  timers_.clear();
}

void HostServices::GuestError(std::string_view what) {
  machine_.trace().Output([&] { return fmt::format("guest-error {} {}", name_, what); });
}

void HostServices::Read(BarHandler& region, RegionName name, bool taken, Offset at,
                        std::span<std::byte> to) {
  if (!taken) {
    // Too narrow an access the bus answers with zeros; too wide a one gets the ones of a device
    // that has nothing to say.
    std::ranges::fill(to, to.size() == 8 ? std::byte{0xff} : std::byte{0});
    return;
  }
  region.Read(at, to);
  // What a client stored through a mapping is an input like any other.
  if (!region.memory().empty())
    machine_.trace().Input([&] {
      return fmt::format("memory {} {}{}+{:#x} {}", name_, name.kind, name.index, at, Hex(to));
    });
}

DeviceMemory& HostServices::Memory() {
  if (!memory_) memory_ = machine_.environment().CreateDeviceMemory(name_);
  return *memory_;
}

std::span<std::byte> HostServices::AllocateRegionMemory(unsigned region, u64 size) {
  return Memory().Allocate(u64{region} << kRegionShift, size);
}

void HostServices::TrapRegion(unsigned region, u64 size) {
  Memory().Trap(u64{region} << kRegionShift, size);
}

void HostServices::PollRegion(BarHandler& region, RegionName name) {
  polled_.push_back(std::make_unique<PolledMemory>(
      machine_, Memory(), region, fmt::format("{} {}{}", name_, name.kind, name.index)));
}

void HostServices::ForgetStores() {
  for (const auto& memory : polled_) memory->Forget();
}

void HostServices::SetRegionShift(unsigned shift) {
  if (memory_) memory_->Move(std::exchange(region_shift_, shift), shift);
}

void HostServices::SetMemoryReachable(bool reachable) {
  if (memory_) memory_->SetReachable(reachable);
}

}  // namespace vfiolab
