// Everything a platform device may ask of the machine it sits in.
#pragma once
#include "device/host.hpp"

namespace vfiolab {

class PlatformHost : public Host {
 public:
  // Drives the line of a level interrupt; it stays until it is lowered, or the device reset.
  virtual void SetIrq(unsigned irq, bool asserted) = 0;
  // One event on the line of an edge interrupt.
  virtual void PulseIrq(unsigned irq) = 0;
};

}  // namespace vfiolab
