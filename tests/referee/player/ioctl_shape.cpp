#include "ioctl_shape.hpp"

namespace player {
namespace {

using Argument = IoctlShape::Argument;
using Tail = IoctlShape::Tail;
constexpr auto kDecimal = Field::Style::kDecimal;
constexpr auto kHex = Field::Style::kHex;
constexpr auto kSigned = Field::Style::kSigned;

constexpr std::uint32_t Vfio(unsigned number) { return 0x3b64 + number; }

std::vector<Field> Struct(std::initializer_list<Field> more) {
  std::vector<Field> fields{{"argsz", 0, 4, kDecimal}, {"flags", 4, 4, kHex}};
  fields.insert(fields.end(), more);
  return fields;
}

std::vector<IoctlShape> ContainerAndGroup() {
  return {
      {"VFIO_GET_API_VERSION", Vfio(0), Argument::kValue, 0, {}},
      {"VFIO_CHECK_EXTENSION", Vfio(1), Argument::kValue, 0, {}},
      {"VFIO_SET_IOMMU", Vfio(2), Argument::kValue, 0, {}},
      {"VFIO_GROUP_GET_STATUS", Vfio(3), Argument::kStruct, 8, Struct({})},
      {"VFIO_GROUP_SET_CONTAINER", Vfio(4), Argument::kDescriptor, 4, {}},
      {"VFIO_GROUP_UNSET_CONTAINER", Vfio(5), Argument::kValue, 0, {}},
      {"VFIO_GROUP_GET_DEVICE_FD", Vfio(6), Argument::kText, 0, {}},
      {"VFIO_IOMMU_GET_INFO", Vfio(12), Argument::kStruct, 24,
       Struct({{"iova_pgsizes", 8, 8, kHex}, {"cap_offset", 16, 4, kDecimal}}),
       Tail::kCapabilities},
      {"VFIO_IOMMU_MAP_DMA", Vfio(13), Argument::kStruct, 32,
       Struct({{"vaddr", 8, 8, kHex}, {"iova", 16, 8, kHex}, {"size", 24, 8, kHex}})},
      {"VFIO_IOMMU_UNMAP_DMA", Vfio(14), Argument::kStruct, 24,
       Struct({{"iova", 8, 8, kHex},
               {"size", 16, 8, kHex},
               {"bitmap.pgsize", 24, 8, kHex},
               {"bitmap.size", 32, 8, kHex},
               {"bitmap.data", 40, 8, kHex}})},
      {"VFIO_IOMMU_ENABLE", Vfio(15), Argument::kValue, 0, {}},
      {"VFIO_IOMMU_DISABLE", Vfio(16), Argument::kValue, 0, {}},
      {"VFIO_IOMMU_DIRTY_PAGES", Vfio(17), Argument::kStruct, 8,
       Struct({{"iova", 8, 8, kHex},
               {"size", 16, 8, kHex},
               {"bitmap.pgsize", 24, 8, kHex},
               {"bitmap.size", 32, 8, kHex},
               {"bitmap.data", 40, 8, kHex}})},
  };
}

std::vector<IoctlShape> Device() {
  return {
      {"VFIO_DEVICE_GET_INFO", Vfio(7), Argument::kStruct, 24,
       Struct({{"num_regions", 8, 4, kDecimal},
               {"num_irqs", 12, 4, kDecimal},
               {"cap_offset", 16, 4, kDecimal},
               {"pad", 20, 4, kHex}}),
       Tail::kCapabilities},
      {"VFIO_DEVICE_GET_REGION_INFO", Vfio(8), Argument::kStruct, 32,
       Struct({{"index", 8, 4, kDecimal},
               {"cap_offset", 12, 4, kDecimal},
               {"size", 16, 8, kHex},
               {"offset", 24, 8, kHex}}),
       Tail::kCapabilities},
      {"VFIO_DEVICE_GET_IRQ_INFO", Vfio(9), Argument::kStruct, 16,
       Struct({{"index", 8, 4, kDecimal}, {"count", 12, 4, kDecimal}})},
      {"VFIO_DEVICE_SET_IRQS", Vfio(10), Argument::kStruct, 20,
       Struct({{"index", 8, 4, kDecimal}, {"start", 12, 4, kDecimal}, {"count", 16, 4, kDecimal}})},
      {"VFIO_DEVICE_RESET", Vfio(11), Argument::kValue, 0, {}},
      {"VFIO_DEVICE_GET_PCI_HOT_RESET_INFO", Vfio(12), Argument::kStruct, 12,
       Struct({{"count", 8, 4, kDecimal}}), Tail::kDevices},
      {"VFIO_DEVICE_PCI_HOT_RESET", Vfio(13), Argument::kStruct, 12,
       Struct({{"count", 8, 4, kDecimal}})},
      {"VFIO_DEVICE_QUERY_GFX_PLANE", Vfio(14), Argument::kStruct, 8, Struct({})},
      {"VFIO_DEVICE_GET_GFX_DMABUF", Vfio(15), Argument::kValue, 0, {}},
      {"VFIO_DEVICE_IOEVENTFD", Vfio(16), Argument::kStruct, 32,
       Struct({{"offset", 8, 8, kHex},
               {"data", 16, 8, kHex},
               {"fd", 24, 4, kSigned},
               {"reserved", 28, 4, kHex}})},
      {"VFIO_DEVICE_FEATURE", Vfio(17), Argument::kStruct, 8, Struct({})},
      {"VFIO_DEVICE_BIND_IOMMUFD", Vfio(18), Argument::kStruct, 16,
       Struct({{"iommufd", 8, 4, kSigned}, {"out_devid", 12, 4, kDecimal}})},
      {"VFIO_DEVICE_ATTACH_IOMMUFD_PT", Vfio(19), Argument::kStruct, 12,
       Struct({{"pt_id", 8, 4, kDecimal}})},
      {"VFIO_DEVICE_DETACH_IOMMUFD_PT", Vfio(20), Argument::kStruct, 8, Struct({})},
      {"VFIO_MIG_GET_PRECOPY_INFO", Vfio(21), Argument::kStruct, 24,
       Struct({{"initial_bytes", 8, 8, kHex}, {"dirty_bytes", 16, 8, kHex}})},
  };
}

}  // namespace

const IoctlShape* FindIoctl(std::string_view name) {
  static const std::vector<IoctlShape> shapes = [] {
    std::vector<IoctlShape> all = ContainerAndGroup();
    for (IoctlShape& shape : Device()) all.push_back(std::move(shape));
    return all;
  }();
  for (const IoctlShape& shape : shapes)
    if (shape.name == name) return &shape;
  return nullptr;
}

}  // namespace player
