// The author's side of a platform device: no config space, but regions and interrupts in a row.
#pragma once
#include <array>
#include <memory>
#include <string_view>
#include <vector>

#include "device/memory_bar.hpp"
#include "device/model.hpp"
#include "device/platform_host.hpp"
#include "device/register_map.hpp"

namespace vfiolab {

enum class IrqTrigger { kLevel, kEdge };

struct PlatformIdentity {
  std::string_view compatible;  // as a device tree calls it: "vendor,device"
  std::vector<IrqTrigger> irqs = {};
};

struct RegionSpec {
  u64 size;
  BarMapping mapping = BarMapping::kTrap;  // a part of a page cannot be mapped
  WidthsAt widths = nullptr;               // null: any

  bool Takes(Offset at, std::size_t width) const { return TakesWidth(widths, at, width); }
};

class PlatformDevice {
 public:
  struct Region {
    RegionSpec spec;
    std::unique_ptr<BarHandler> handler;
  };

  PlatformDevice(PlatformHost& host, PlatformIdentity identity)
      : host_(host), identity_(std::move(identity)) {}
  virtual ~PlatformDevice() = default;
  PlatformDevice(const PlatformDevice&) = delete;
  PlatformDevice& operator=(const PlatformDevice&) = delete;

  const PlatformIdentity& identity() const { return identity_; }
  const std::vector<Region>& regions() const { return regions_; }

  // Registers take their reset values, then OnReset() runs. The machine has cancelled the timers
  // and lowered the interrupts.
  void Reset();

 protected:
  PlatformHost& host() { return host_; }

  // State that lies outside the register maps.
  virtual void OnReset() {}

  // Each of these adds the next region. One of registers; `map` comes from Registers({...}).
  template <class D, std::size_t N>
  RegisterBank<D>& AddRegion(RegionSpec spec, D& self, const std::array<Register<D>, N>& map) {
    return AddHandler(spec, std::make_unique<RegisterBank<D>>(self, map));
  }
  template <class D, std::size_t N>
  RegisterBank<D>& AddRegion(u64 size, D& self, const std::array<Register<D>, N>& map) {
    return AddRegion(RegionSpec{.size = size}, self, map);
  }
  // One with a handler of the device's own.
  template <class Handler>
  Handler& AddHandler(RegionSpec spec, std::unique_ptr<Handler> handler) {
    CHECK_OURS(spec.size > 0);
    if (spec.size % kPageSize != 0) spec.mapping = BarMapping::kNone;
    Handler& reference = *handler;
    regions_.push_back({spec, std::move(handler)});
    return reference;
  }
  // Whole pages of memory that clients may map.
  MemoryBar& AddMemoryRegion(u64 size);
  // Those whose words the device hears of when they change.
  PolledBar& AddPolledRegion(u64 size, PolledBar::Stored stored);

 private:
  PlatformHost& host_;
  PlatformIdentity identity_;
  std::vector<Region> regions_;
};

}  // namespace vfiolab
