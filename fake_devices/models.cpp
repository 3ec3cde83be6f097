#include "fake_devices/models.hpp"

#include <array>

namespace vfiolab::fake_devices {

std::span<const Model> Models() {
  static const std::array models{kCopier, kDoorbell, kEdu, kPciTestdev, kReplica, kScratch};
  return models;
}

}  // namespace vfiolab::fake_devices
