// A bench with the interface of 2010 and 2011: its devices are bound to "vfio".
#pragma once
#include <linux/pci_regs.h>

#include "support/bench.hpp"

namespace vfiolab::test {

// struct vfio_dma_map.
struct EarlyMap {
  u64 vaddr, dmaaddr, size, flags;
};

// The numbers that are the same in all revisions that have the call; _JULY are those of A-jul.
inline constexpr u32 kEarlyMap = 0xc0203b65, kEarlyUnmap = 0x40203b66, kEarlyIntx = 0x40043b67,
                     kEarlyMsi = 0x40043b68, kEarlyMsix = 0x40043b69, kBarLen32 = 0xc0043ba7,
                     kBarLen64 = 0xc0083b6a, kDomainSet = 0x40043b6b, kDomainUnset = 0x3b6c,
                     kIrqEoi = 0x3b6d, kIrqEoiEventfd = 0x40043b6e, kResetFunction = 0x3b6f,
                     kUnmapJuly = 0xc0203b66, kUnmaskJuly = 0x3b6c, kUnmaskEventfdJuly = 0x40043b6d,
                     kResetJuly = 0x3b6e;

class EarlyBench : public Bench {
 public:
  static constexpr u64 kMemory = 0x200000;  // 16 pages of the client

  explicit EarlyBench(std::string_view revision = "A6", std::vector<Placed> devices = EduAlone(),
                      Iommu iommu = VtdIommu())
      : Bench(std::move(devices), std::move(iommu), KernelWith(revision)),
        shift(std::ranges::find(uiommu::kRevisions, revision, &uiommu::Revision::name)
                  ->region_shift) {
    client.mm().Map(kMemory, 16 * kPageSize);
  }
  static std::vector<Placed> EduAlone() { return {{kFirst, &fake_devices::kEdu, 1, "vfio"}}; }
  static std::vector<Placed> TwoEdus() {
    return {{kFirst, &fake_devices::kEdu, 1, "vfio"}, {kSecond, &fake_devices::kEdu, 2, "vfio"}};
  }
  static std::vector<Placed> Only(const Model& model) { return {{kFirst, &model, 1, "vfio"}}; }

  int OpenDevice(const std::string& name = "vfio0") {
    const long opened = OpenInDev(name);
    Must(opened >= 0);
    return static_cast<int>(opened);
  }
  int OpenDomain() { return OpenDevice("uiommu"); }
  // An ioctl whose argument points to an int, or to a list of them.
  long Give(int fd, u32 command, std::vector<int> ints) {
    client.mm().Poke(kArguments, std::as_bytes(std::span{ints}));
    return Ioctl(fd, command, kArguments);
  }
  // A device in a domain of its own.
  int OpenInDomain(const std::string& name = "vfio0") {
    const int device = OpenDevice(name);
    Must(Give(device, kDomainSet, {OpenDomain()}) == 0);
    return device;
  }
  long Map(int device, u64 iova, u64 address, u64 size = kPageSize, u64 flags = 1) {
    EarlyMap map{address, iova, size, flags};
    return Ioctl(device, kEarlyMap, map);
  }
  long Unmap(int device, u64 iova, u64 address, u64 size = kPageSize, u32 command = kEarlyUnmap) {
    EarlyMap map{address, iova, size, 0};
    return Ioctl(device, command, map);
  }
  u64 At(u32 region, u64 at = 0) const { return u64{region} << shift | at; }
  u64 Config(u64 at) const { return At(0xf, at); }
  // Whether the device of `bdf` can write to the IOVA.
  bool DmaWorks(u64 iova, Bdf bdf = kFirst) {
    slot(bdf).config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER, true);
    const u32 word = 0x12345678;
    return static_cast<bool>(slot(bdf).DmaWrite(Iova{iova}, BytesOf(word)));
  }

  const unsigned shift;
};

}  // namespace vfiolab::test
