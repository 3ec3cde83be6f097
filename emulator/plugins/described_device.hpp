// A device of a model that is described in C.
#pragma once
#include <vfiolab/model.h>

#include "device/pci_device.hpp"

// What such a device has in hand of the machine.
struct vfiolab_machine {
  vfiolab::DeviceHost& host;
  const vfiolab::Params params;
  vfiolab::PciDevice& device;
};

namespace vfiolab::plugins {

class DescribedDevice final : public PciDevice {
 public:
  // The description outlives it, and has been checked.
  DescribedDevice(DeviceHost& host, const Params& params, const vfiolab_model& description);
  ~DescribedDevice() override;

 private:
  class Registers;
  void OnReset() override;

  const vfiolab_model& description_;
  vfiolab_machine machine_;
  void* made_ = nullptr;
};

}  // namespace vfiolab::plugins
