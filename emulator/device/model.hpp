// A device model that a topology can name.
#pragma once
#include <memory>
#include <span>
#include <string_view>

#include "device/params.hpp"

namespace vfiolab {

class DeviceHost;
class PciDevice;
class PlatformDevice;
class PlatformHost;

struct Model {
  std::string_view name;
  std::string_view summary;  // one line, for `vfiolab models` and error texts
  std::span<const ParamSpec> params;
  // Of a PCI device; the model is this one.
  std::unique_ptr<PciDevice> (*create)(const Model&, DeviceHost&, const Params&);
  // Files the model is made of. To kConfigDump its parameters bar0 to bar5 must fit.
  std::span<const DumpSpec> dumps = {};
  // Of a platform device, which has no `create`.
  std::unique_ptr<PlatformDevice> (*create_platform)(PlatformHost&, const Params&) = nullptr;

  // What `create` makes it of, where that is not known when this program is compiled.
  const void* description = nullptr;

  bool operator==(const Model& other) const { return name == other.name; }
  bool is_platform() const { return create_platform != nullptr; }
};

}  // namespace vfiolab
