// A bench with the proposals of August 2011.
#pragma once
#include <linux/pci_regs.h>

#include "support/bench.hpp"

namespace vfiolab::test {

inline constexpr u32 kAugGetFlags = 0x80083b20, kAugGroupMap = 0x40203b21,
                     kAugGroupUnmap = 0x40203b22, kAugBind = 0x40043b23, kAugCapture = 0x40043b24,
                     kAugRelease = 0x3b25, kAugGetDevice = 0x40013b26, kAugInfo = 0x80103b30,
                     kAugRegionInfo = 0xc0183b31, kAugIrqInfo = 0xc0103b32,
                     kAugSetEventfds = 0x40043b33, kAugUnmask = 0x40043b34, kAugReset = 0x3b35,
                     kAugInherit = 0x40043b36, kAugSetUiommu = 0x40043b37,
                     kAugDeviceMap = 0x40203b38, kAugDeviceUnmap = 0x40203b39,
                     kAugBarFd = 0x40043b3a, kAugConfigFd = 0x3b3b;

class AugustBench : public Bench {
 public:
  static constexpr u64 kMemory = 0x200000;  // 16 pages of the client
  static constexpr u64 kIova = 0x40000000;
  static constexpr u64 kViable = 1, kBound = 2, kOwner = 4;

  explicit AugustBench(const AugustPolicies& policies = {}, std::vector<Placed> devices = TwoEdus(),
                       std::vector<PlacedPlatform> platform_devices = {})
      : Bench(std::move(devices), VtdIommu(), KernelWith("A-aug", policies),
              std::move(platform_devices)) {
    client.mm().Map(kMemory, 16 * kPageSize);
  }
  static std::vector<Placed> TwoEdus() {
    return {{kFirst, &fake_devices::kEdu, 1, "vfio"}, {kSecond, &fake_devices::kEdu, 2, "vfio"}};
  }
  static std::vector<Placed> HalfBound() {
    return {{kFirst, &fake_devices::kEdu, 1, "vfio"}, {kSecond, &fake_devices::kEdu, 1, ""}};
  }

  int OpenGroup(unsigned id = 1) { return Checked(Open(std::to_string(id))); }
  long Give(int fd, u32 command, std::vector<int> ints) {
    client.mm().Poke(kArguments, std::as_bytes(std::span{ints}));
    return Ioctl(fd, command, kArguments);
  }
  long GetDevice(int group, const std::string& name) {
    client.mm().Poke(kArguments, std::as_bytes(std::span{name.c_str(), name.size() + 1}));
    return Ioctl(group, kAugGetDevice, kArguments);
  }
  int OpenDevice(int group, Bdf bdf = kFirst) { return Checked(GetDevice(group, bdf.ToString())); }
  u64 Flags(int group) {
    Must(Ioctl(group, kAugGetFlags, kArguments) == 0);
    return client.mm().Get<u64>(kArguments);
  }
  struct DmaMap {
    u64 vaddr, iova, size, flags;
  };
  long Map(int fd, u64 iova = kIova, u64 address = kMemory, u32 command = kAugGroupMap) {
    DmaMap map{address, iova, kPageSize, 1};
    return Ioctl(fd, command, map);
  }
  bool DmaWorks(Bdf bdf = kFirst, u64 iova = kIova) {
    slot(bdf).config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER, true);
    const u32 word = 0x12345678;
    return static_cast<bool>(slot(bdf).DmaWrite(Iova{iova}, BytesOf(word)));
  }

 private:
  static int Checked(long opened) {
    Must(opened >= 0);
    return static_cast<int>(opened);
  }
};

}  // namespace vfiolab::test
