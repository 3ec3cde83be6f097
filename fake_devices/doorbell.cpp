// A page of doorbells that are memory to whoever rings them, and a page of what was heard.
#include <atomic>

#include "device/pci_device.hpp"
#include "fake_devices/models.hpp"

namespace vfiolab::fake_devices {
namespace {

class Doorbell final : public PciDevice {
 public:
  Doorbell(DeviceHost& host, const Params&)
      : PciDevice(
            host,
            {.vendor_id = 0x1b36, .device_id = 0x00fe, .msix_vectors = kVectors, .express = true}),
        heard_(AddMemoryBar(2, {.size = 4_KiB})) {
    AddPolledBar(0, {.size = 4_KiB}, [this](Offset at, u32 word) { OnRing(at, word); });
  }

 private:
  static constexpr unsigned kVectors = 4;

  // The first ones have a vector each.
  void OnRing(Offset at, u32 word) {
    auto& heard = *reinterpret_cast<u32*>(heard_.memory().data() + at);
    std::atomic_ref(heard).store(word, std::memory_order_release);
    const auto vector = static_cast<unsigned>(at / sizeof word);
    if (vector < kVectors) host().SignalMsi(vector);
  }

  MemoryBar& heard_;  // word n: what doorbell n was rung with
};

}  // namespace

constinit const Model kDoorbell =
    ModelOf<Doorbell>("doorbell", "doorbells in memory, and what was heard of them", {});

}  // namespace vfiolab::fake_devices
