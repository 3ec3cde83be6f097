// Everything a PCI device may ask of the machine it sits in. There is no other way out of a device.
#pragma once
#include "device/host.hpp"

namespace vfiolab {

class DeviceHost : public Host {
 public:
  // Sends the message of MSI or MSI-X vector `vector`; lost when neither is enabled.
  virtual void SignalMsi(unsigned vector) = 0;
  virtual bool MsiEnabled() const = 0;
  // Drives the INTx pin; a level, not an event.
  virtual void SetIntx(bool asserted) = 0;
};

}  // namespace vfiolab
