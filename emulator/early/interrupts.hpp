// What the config space of 2010 to 2012 and the interrupts of a device have to tell each other,
// whatever the calls are by which a client sets these.
#pragma once
#include <optional>

namespace vfiolab::early {

class Interrupts {
 public:
  virtual ~Interrupts() = default;
  // The client has written COMMAND.INTX_DISABLE, perhaps as it was.
  virtual void OnIntxDisable(bool disabled) = 0;
  // The exponent of the vectors that MSI has; nothing when it is off.
  virtual std::optional<unsigned> msi_log2_vectors() const = 0;
};

}  // namespace vfiolab::early
