// The numbers of the ioctls of October 2011 to January 2012, and what a number that is none gets.
#include <catch2/catch.hpp>

#include "merge/iommu_file.hpp"
#include "support/merge_bench.hpp"

using namespace vfiolab;
using namespace vfiolab::test;

namespace {

using Numbers = std::map<std::string, u32>;

Numbers Named(const uapi::NamedNumbers& numbers) { return {numbers.begin(), numbers.end()}; }

const merge::Revision& RevisionOf(std::string_view name) {
  return *std::ranges::find(merge::kRevisions, name, &merge::Revision::name);
}

Numbers Without0(Numbers numbers) {
  std::erase_if(numbers, [](const auto& entry) { return entry.second == 0; });
  return numbers;
}

std::string WithArgsz(const MergeNumbers& n, std::string_view october, std::string_view december) {
  return std::string(n.revision < "B2" ? october : december);
}

}  // namespace

TEST_CASE("the ioctls of a group, of the IOMMU and of a device have the numbers of their revision",
          "[merge]") {
  for (const MergeNumbers& n : kMergeNumbers) {
    INFO(n.revision);
    const merge::Revision& revision = RevisionOf(n.revision);
    CHECK(Named(merge::GroupFile::IoctlNumbers(revision)) ==
          Without0({{WithArgsz(n, "VFIO_GROUP_GET_FLAGS", "VFIO_GROUP_GET_INFO"), n.group_flags},
                    {"VFIO_GROUP_MERGE", n.merge},
                    {"VFIO_GROUP_UNMERGE", n.unmerge},
                    {"VFIO_GROUP_GET_IOMMU_FD", n.iommu_fd},
                    {"VFIO_GROUP_GET_DEVICE_FD", n.device_fd}}));
    CHECK(Named(merge::IommuFile::IoctlNumbers(revision)) ==
          Without0({{WithArgsz(n, "VFIO_IOMMU_GET_FLAGS", "VFIO_IOMMU_GET_INFO"), n.iommu_info},
                    {"VFIO_IOMMU_MAP_DMA", n.map},
                    {"VFIO_IOMMU_UNMAP_DMA", n.unmap}}));
    CHECK(Named(merge::DeviceFile::IoctlNumbers(revision)) ==
          Without0({{WithArgsz(n, "VFIO_DEVICE_GET_FLAGS", "VFIO_DEVICE_GET_INFO"), n.device_flags},
                    {"VFIO_DEVICE_GET_NUM_REGIONS", n.num_regions},
                    {"VFIO_DEVICE_GET_REGION_INFO", n.region_info},
                    {"VFIO_DEVICE_GET_NUM_IRQS", n.num_irqs},
                    {"VFIO_DEVICE_GET_IRQ_INFO", n.irq_info},
                    {n.revision < "B3" ? "VFIO_DEVICE_SET_IRQ_EVENTFDS" : "VFIO_DEVICE_SET_IRQS",
                     n.set_irqs},
                    {"VFIO_DEVICE_UNMASK_IRQ", n.unmask},
                    {WithArgsz(n, "VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFD",
                               "VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFDS"),
                     n.set_unmask},
                    {"VFIO_DEVICE_RESET", n.reset}}));
  }
}

TEST_CASE(
    "32-bit programs of October have numbers of their own for GROUP_GET_DEVICE_FD and IRQ_INFO",
    "[merge]") {
  for (const std::string_view revision : {"B0", "B1"}) {
    MergeBench bench(revision);
    const int group = bench.OpenGroup();
    bench.OpenIommu(group);
    bench.n.device_fd = 0x40043b68;
    CHECK(bench.GetDevice(group, kFirst.ToString()) == -ENOSYS);
    bench.client.is_of_32_bit = true;
    const int device = bench.OpenDevice(group);
    struct [[gnu::packed]] {
      u32 length = 20, index = 0, count = 9;
      u64 flags = 9;
    } info;
    CHECK(bench.Ioctl(device, 0xc0143b6f, info) == (revision == "B0" ? 0 : -ENOSYS));
    CHECK(info.count == (revision == "B0" ? 1 : 9));
    CHECK(info.flags == (revision == "B0" ? 1 : 9));
    info.length = 24;
    CHECK(bench.Ioctl(device, 0xc0143b6f, info) == (revision == "B0" ? -EINVAL : -ENOSYS));
    bench.client.is_of_32_bit = false;
    CHECK(bench.Ioctl(device, 0xc0143b6f, info) == -ENOSYS);
  }
}

TEST_CASE("each early interface is played by exactly one protocol", "[merge]") {
  for (const EarlyApi& api : kEarlyApis) {
    const auto of_uiommu =
        std::ranges::count(uiommu::kRevisions, api.name, &uiommu::Revision::name);
    const auto of_merge = std::ranges::count(merge::kRevisions, api.name, &merge::Revision::name);
    CHECK(of_uiommu + of_merge + (api.name == kAugustApi ? 1 : 0) == 1);
    CHECK(api.replaces_vfio == (of_uiommu == 0));
  }
}

TEST_CASE("an ioctl that a revision does not have is ENOSYS in October, ENOTTY since December",
          "[merge]") {
  for (const MergeNumbers& n : kMergeNumbers) {
    MergeBench bench(n.revision);
    const int group = bench.OpenGroup();
    const int unknown = n.revision < "B2" ? -ENOSYS : -ENOTTY;
    for (const int fd : {group, bench.OpenIommu(group), bench.OpenDevice(group)}) {
      CHECK(bench.Ioctl(fd, 0x3bff) == unknown);
      CHECK(bench.Ioctl(fd, VFIO_GROUP_SET_CONTAINER) == unknown);
    }
  }
}

TEST_CASE("DEVICE_GET_DTPATH and DEVICE_GET_DTINDEX are ENOSYS: PCI has no device tree",
          "[merge]") {
  MergeBench b0("B0"), b1("B1");
  for (const u32 number : {0xc0183b74, 0xc0183b75})
    CHECK(b0.Ioctl(b0.OpenDevice(b0.OpenGroup()), number) == -ENOSYS);
  for (const u32 number : {0xc0183b75, 0xc0183b76})
    CHECK(b1.Ioctl(b1.OpenDevice(b1.OpenGroup()), number) == -ENOSYS);
}

TEST_CASE("B0 has no way to ask for flags of a group and of the IOMMU", "[merge]") {
  MergeBench bench("B0");
  const int group = bench.OpenGroup();
  CHECK(bench.Ioctl(group, 0x80083b64) == -ENOSYS);
  CHECK(bench.Ioctl(bench.OpenIommu(group), 0x80083b69) == -ENOSYS);
}

TEST_CASE("neither a group nor an IOMMU can be read, and the latter has no node", "[merge]") {
  MergeBench bench;
  const int group = bench.OpenGroup();
  std::byte byte{};
  CHECK(bench.Read(group, 0, {&byte, 1}) == -EINVAL);
  CHECK(bench.Read(bench.OpenIommu(group), 0, {&byte, 1}) == -EINVAL);
  CHECK_FALSE(bench.client.file(bench.OpenIommu(group))->has_node());
}
