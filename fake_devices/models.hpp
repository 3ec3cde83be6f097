// Every model that a topology can name.
#pragma once
#include <span>

#include "device/model.hpp"
#include "device/pci_device.hpp"
#include "device/platform_device.hpp"

namespace vfiolab::fake_devices {

// A registry row for PCI device class D, whose constructor takes the host and the parameters.
template <class D>
constexpr Model ModelOf(std::string_view name, std::string_view summary,
                        std::span<const ParamSpec> params, std::span<const DumpSpec> dumps = {}) {
  return {name, summary, params,
          [](const Model&, DeviceHost& host, const Params& given) -> std::unique_ptr<PciDevice> {
            return std::make_unique<D>(host, given);
          },
          dumps};
}

// The same for platform device class D.
template <class D>
constexpr Model PlatformModelOf(std::string_view name, std::string_view summary,
                                std::span<const ParamSpec> params) {
  return {.name = name,
          .summary = summary,
          .params = params,
          .create = nullptr,
          .create_platform = [](PlatformHost& host, const Params& given)
              -> std::unique_ptr<PlatformDevice> { return std::make_unique<D>(host, given); }};
}

extern const Model kCopier;
extern const Model kDoorbell;
extern const Model kEdu;
extern const Model kPciTestdev;
extern const Model kReplica;
extern const Model kScratch;

// Ordered by name.
std::span<const Model> Models();

}  // namespace vfiolab::fake_devices
