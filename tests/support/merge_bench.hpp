// A bench with the interface of October 2011 to January 2012: its devices are bound to "vfio".
#pragma once
#include <linux/pci_regs.h>

#include "support/bench.hpp"

namespace vfiolab::test {

// The numbers of one revision; 0: it has no such ioctl.
struct MergeNumbers {
  std::string_view revision;
  u32 group_flags, merge, unmerge, iommu_fd, device_fd;
  u32 iommu_info, map, unmap;
  u32 device_flags, num_regions, region_info, num_irqs, irq_info, set_irqs, unmask, set_unmask,
      reset;
};

inline constexpr MergeNumbers kMergeNumbers[] = {
    {"B0", 0, 0x40043b65, 0x40043b66, 0x3b67, 0x40083b68, 0, 0xc0283b69, 0xc0283b6a, 0x80083b6b,
     0x80043b6c, 0xc0283b6d, 0x80043b6e, 0xc0183b6f, 0x40043b70, 0x40043b71, 0x40043b72, 0x3b73},
    {"B1", 0x80083b64, 0x40043b65, 0x40043b66, 0x3b67, 0x40083b68, 0x80083b69, 0xc0283b6a,
     0xc0283b6b, 0x80083b6c, 0x80043b6d, 0xc0283b6e, 0x80043b6f, 0xc0103b70, 0x40043b71, 0x40043b72,
     0x40043b73, 0x3b74},
    {"B2", 0x3b64, 0x40043b65, 0x3b66, 0x3b67, 0x40013b68, 0x3b69, 0x3b6a, 0x3b6b, 0x3b6c, 0,
     0x3b6d, 0, 0x3b6e, 0x3b6f, 0x3b70, 0x3b71, 0x3b72},
    {"B3", 0x3b64, 0x40043b65, 0x3b66, 0x3b67, 0x40013b68, 0x3b69, 0x3b6a, 0x3b6b, 0x3b6c, 0,
     0x3b6d, 0, 0x3b6e, 0x3b6f, 0, 0, 0x3b70},
};

class MergeBench : public Bench {
 public:
  static constexpr u64 kMemory = 0x200000;  // 16 pages of the client
  static constexpr u64 kIova = 0x40000000;
  static constexpr u32 kViable = 1, kMmLocked = 2;

  explicit MergeBench(std::string_view revision = "B1", std::vector<Placed> devices = TwoEdus(),
                      Iommu iommu = VtdIommu())
      : Bench(std::move(devices), std::move(iommu), KernelWith(revision)),
        n(*std::ranges::find(kMergeNumbers, revision, &MergeNumbers::revision)) {
    client.mm().Map(kMemory, 16 * kPageSize);
  }
  static std::vector<Placed> TwoEdus() {
    return {{kFirst, &fake_devices::kEdu, 1, "vfio"}, {kSecond, &fake_devices::kEdu, 2, "vfio"}};
  }
  static std::vector<Placed> Only(const Model& model, std::map<std::string, u64> params = {}) {
    return {{kFirst, &model, 1, "vfio", std::move(params)}};
  }

  bool has_argsz() const { return n.revision >= "B2"; }
  long TryGroup(unsigned id) { return Open((has_argsz() ? "pci:" : "") + std::to_string(id)); }
  int OpenGroup(unsigned id = 1) { return Checked(TryGroup(id)); }
  long Merge(int group, int other) { return GiveInt(group, n.merge, other); }
  // `of` is a group that stays, where the call is on that.
  long Unmerge(int of, int other) {
    return has_argsz() ? Ioctl(other, n.unmerge) : GiveInt(of, n.unmerge, other);
  }
  long GetIommu(int group) { return Ioctl(group, n.iommu_fd); }
  long GetDevice(int group, const std::string& name) {
    client.mm().Poke(kArguments, std::as_bytes(std::span{name.c_str(), name.size() + 1}));
    return Ioctl(group, n.device_fd, kArguments);
  }
  int OpenIommu(int group) { return Checked(GetIommu(group)); }
  int OpenDevice(int group, Bdf bdf = kFirst) { return Checked(GetDevice(group, bdf.ToString())); }
  u32 Flags(int group) {
    struct {
      u32 argsz = 8, flags = 0;
    } info;
    if (has_argsz()) {
      Must(Ioctl(group, n.group_flags, info) == 0);
      return info.flags;
    }
    Must(Ioctl(group, n.group_flags, kArguments) == 0);
    return static_cast<u32>(client.mm().Get<u64>(kArguments));
  }

  long Map(int iommu, u64 iova, u64 address, u64 size = kPageSize, bool writes = true) {
    if (!has_argsz()) {
      u64 map[] = {40, address, iova, size, writes ? 1u : 0u};
      client.mm().Put(kArguments, map);
    } else {
      struct {
        u32 argsz, flags;
        u64 address, iova, size;
      } map{32, writes ? 3u : 1u, address, iova, size};
      client.mm().Put(kArguments, map);
    }
    return Ioctl(iommu, n.map, kArguments);
  }
  long Unmap(int iommu, u64 iova, u64 size = kPageSize) {
    if (!has_argsz()) {
      u64 map[] = {40, 0, iova, size, 0};
      client.mm().Put(kArguments, map);
    } else {
      struct {
        u32 argsz, flags;
        u64 iova, size;
      } unmap{24, 0, iova, size};
      client.mm().Put(kArguments, unmap);
    }
    return Ioctl(iommu, n.unmap, kArguments);
  }
  // Whether the device of `bdf` can write to the IOVA.
  bool DmaWorks(u64 iova = kIova, Bdf bdf = kFirst) {
    slot(bdf).config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER, true);
    const u32 word = 0x12345678;
    return static_cast<bool>(slot(bdf).DmaWrite(Iova{iova}, BytesOf(word)));
  }
  // An ioctl whose argument points to words.
  long Give(int fd, u32 command, std::vector<u32> words) {
    client.mm().Poke(kArguments, std::as_bytes(std::span{words}));
    return Ioctl(fd, command, kArguments);
  }
  long GiveInt(int fd, u32 command, int value) {
    return Give(fd, command, {static_cast<u32>(value)});
  }
  u32 Word(unsigned i) { return client.mm().Get<u32>(kArguments + 4 * i); }

  MergeNumbers n;

 private:
  static int Checked(long opened) {
    Must(opened >= 0);
    return static_cast<int>(opened);
  }
};

}  // namespace vfiolab::test
