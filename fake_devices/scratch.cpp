// The smallest device there is: one word to write and one to count how often that happened.
#include "device/pci_device.hpp"
#include "fake_devices/models.hpp"

namespace vfiolab::fake_devices {
namespace {

class Scratch final : public PciDevice {
 public:
  Scratch(DeviceHost& host, const Params& params)
      : PciDevice(host, {.vendor_id = 0x1b36,
                         .device_id = 0x00ff,
                         .msix_vectors = static_cast<unsigned>(params["msix_vectors"])}) {}

 private:
  void OnScratch(u64) { ++regs_[4]; }

  // clang-format off
  RegisterBank<Scratch>& regs_ = AddBar(0, 4_KiB, *this, Registers<Scratch>({
    {"SCRATCH", 0, {.writable = kAllBits, .on_write = &Scratch::OnScratch}},
    {"WRITES",  4, {}},
  }));
  // clang-format on
};

constexpr ParamSpec kParams[] = {
    {"msix_vectors", "size of the MSI-X table, 0 for none", 0, 0, 2048}};

}  // namespace

constinit const Model kScratch =
    ModelOf<Scratch>("scratch", "one word and a count of its writes", kParams);

}  // namespace vfiolab::fake_devices
