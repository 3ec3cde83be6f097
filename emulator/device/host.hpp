// What a device of any kind may ask of the machine it sits in.
#pragma once
#include <chrono>
#include <functional>
#include <span>
#include <string_view>

#include "base/address.hpp"
#include "base/result.hpp"

namespace vfiolab {

// Why a DMA stopped. The machine has recorded it; a device with an error register reports it there.
struct DmaFault {
  Iova at;               // the first byte that was not moved
  std::string_view why;  // static text
};

class Host {
 public:
  virtual ~Host() = default;

  // Bytes before the one that faults are moved, as on a bus.
  virtual Result<Success, DmaFault> DmaRead(Iova from, std::span<std::byte> to) = 0;
  // Writes become visible in the order they are made. An aligned write of 8 or 16 bytes publishes
  // its last word last, so that a flag in it says that the rest is there.
  virtual Result<Success, DmaFault> DmaWrite(Iova to, std::span<const std::byte> from) = 0;

  // Runs `due` once, after `delay` of the machine's time. A reset of the device cancels it.
  virtual void After(std::chrono::nanoseconds delay, std::function<void()> due) = 0;

  // The driver broke the data sheet; a person reads it in the trace and the device goes on.
  virtual void GuestError(std::string_view what) = 0;

  // Memory for a BAR or another region that can be mapped: `size` bytes, zero, shared with whoever
  // maps it. Each index once; the machine owns it and it outlives the device.
  virtual std::span<std::byte> AllocateRegionMemory(unsigned region, u64 size) = 0;
};

}  // namespace vfiolab
