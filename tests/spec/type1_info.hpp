// IOMMU_GET_INFO and the chain of capabilities behind it.
#pragma once

#include <map>

#include "client.hpp"

struct IovaRange {
  uint64_t start, end;  // both belong to the range
};

struct Type1Info {
  vfio_iommu_type1_info header{};
  std::map<uint16_t, std::vector<uint8_t>> capabilities;  // by id, header included
};

inline Type1Info GetType1Info(int container) {
  Type1Info info;
  std::vector<uint8_t> buffer(65536);
  info.header.argsz = static_cast<uint32_t>(buffer.size());
  std::memcpy(buffer.data(), &info.header, sizeof info.header);
  REQUIRE(Ioctl(container, VFIO_IOMMU_GET_INFO, buffer.data()) == 0);
  std::memcpy(&info.header, buffer.data(), sizeof info.header);
  vfio_info_cap_header capability{};
  for (uint32_t at = info.header.cap_offset; at; at = capability.next) {
    REQUIRE(at + sizeof capability <= buffer.size());
    std::memcpy(&capability, &buffer[at], sizeof capability);
    // The kernel does not say where the last one ends: take what is there.
    uint32_t end = capability.next ? capability.next : static_cast<uint32_t>(buffer.size());
    REQUIRE(end > at);
    info.capabilities[capability.id].assign(buffer.begin() + at, buffer.begin() + end);
  }
  return info;
}

template <class Capability>
Capability GetCapability(const Type1Info& info, uint16_t id) {
  Capability capability{};
  REQUIRE(info.capabilities.count(id) == 1);
  const std::vector<uint8_t>& bytes = info.capabilities.at(id);
  REQUIRE(bytes.size() >= sizeof capability);
  std::memcpy(&capability, bytes.data(), sizeof capability);
  return capability;
}

inline std::vector<IovaRange> IovaRanges(int container) {
  Type1Info info = GetType1Info(container);
  using Header = vfio_iommu_type1_info_cap_iova_range;
  auto header = GetCapability<Header>(info, VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
  std::vector<IovaRange> ranges(header.nr_iovas);
  const std::vector<uint8_t>& bytes = info.capabilities.at(VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE);
  REQUIRE(bytes.size() >= sizeof(Header) + ranges.size() * sizeof(IovaRange));
  REQUIRE(!ranges.empty());
  std::memcpy(ranges.data(), bytes.data() + sizeof(Header), ranges.size() * sizeof(IovaRange));
  return ranges;
}

// How many more mappings the container accepts.
inline uint32_t DmaAvailable(int container) {
  return GetCapability<vfio_iommu_type1_info_dma_avail>(GetType1Info(container),
                                                        VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL)
      .avail;
}
