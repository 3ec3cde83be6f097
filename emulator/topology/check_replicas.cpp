// Devices that are made from a dump of config space: whether it can be one, and whether the sizes
// of BARs agree with it.
#include <fmt/format.h>
#include <linux/pci_regs.h>

#include "device/config_image.hpp"
#include "topology/check.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

constexpr u64 kLeastMemory = 16, kMostPorts = 256;

class ReplicaCheck {
 public:
  ReplicaCheck(std::string place, const DeviceDraft& device, ErrorList& errors)
      : place_(std::move(place)),
        device_(device),
        errors_(errors),
        file_(Quote(device.dumps.at(std::string(kConfigDump))->file)),
        image_(device.dumps.at(std::string(kConfigDump))->bytes) {}

  void Run() {
    const std::string config = fmt::format("{}/{}", place_, kConfigDump);
    constexpr const char* kAnother = "give the dump of another device";
    if (image_.Get(PCI_VENDOR_ID, 2) == 0xffff)
      return errors_.Add(config, file_ + " shows no device: its vendor is ffff", kAnother);
    if (!image_.is_type_0())
      return errors_.Add(config, file_ + " shows a bridge",
                         "name it under \"bridges\", without a model");
    if (const auto at = BrokenCapability())
      return errors_.Add(
          config, fmt::format("{} has a capability at {:#x} that goes beyond 0x100", file_, *at),
          kAnother);
    CheckWritable();
    for (unsigned i = 0; i < 6; ++i) CheckBar(i);
    if (const auto msix = image_.FindMsix()) {
      CheckMsix(config, "MSI-X table", msix->table_bar, msix->TableEnd());
      CheckMsix(config, "list of pending bits of MSI-X", msix->pba_bar, msix->PbaEnd());
    }
  }

 private:
  // The size that the topology gives; nothing when it gives none.
  std::optional<u64> SizeOf(unsigned bar) const {
    const auto it = device_.params.find(fmt::format("bar{}", bar));
    if (it == device_.params.end() || it->second == u64{0}) return std::nullopt;
    return it->second.value_or(0);
  }
  std::string PlaceOf(unsigned bar) const { return fmt::format("{}/bar{}", place_, bar); }

  std::optional<unsigned> BrokenCapability() const {
    for (const auto& [id, length] : {std::pair{PCI_CAP_ID_PM, 8},
                                     {PCI_CAP_ID_VPD, 8},
                                     {PCI_CAP_ID_MSI, 24},
                                     {PCI_CAP_ID_MSIX, 12},
                                     {PCI_CAP_ID_EXP, 60},
                                     {PCI_CAP_ID_AF, 6}}) {
      const unsigned at = image_.FindCapability(static_cast<u8>(id));
      if (at != 0 && at + LengthOf(id, at, static_cast<unsigned>(length)) > 256) return at;
    }
    return std::nullopt;
  }

  // Two have versions that are shorter than the longest.
  unsigned LengthOf(int id, unsigned at, unsigned longest) const {
    const u32 flags = image_.Get(at + 2, 2);
    if (id == PCI_CAP_ID_MSI)
      return 10u + (flags & PCI_MSI_FLAGS_64BIT ? 4u : 0u) +
             (flags & PCI_MSI_FLAGS_MASKBIT ? 10u : 0u);
    if (id == PCI_CAP_ID_EXP && (flags & PCI_EXP_FLAGS_VERS) == 1) return 20;
    return longest;
  }

  void CheckWritable() {
    const auto dump = device_.dumps.find(std::string(kWritableDump));
    if (dump == device_.dumps.end() || !dump->second || dump->second->bytes.empty()) return;
    const std::size_t size = dump->second->bytes.size();
    if (size != image_.bytes().size())
      errors_.Add(fmt::format("{}/{}", place_, kWritableDump),
                  fmt::format("{} has {} bytes, {} has {}", Quote(dump->second->file), size, file_,
                              image_.bytes().size()),
                  "give two files of the same device");
  }

  void CheckBar(unsigned index) {
    const auto size = SizeOf(index);
    const auto bar = image_.BarAt(index);
    if (size && image_.IsUpperHalf(index))
      return errors_.Add(
          PlaceOf(index),
          fmt::format("BAR{} is the upper half of BAR{}, which has 64 bits", index, index - 1),
          "remove it");
    if (size && !bar)
      return errors_.Add(PlaceOf(index), fmt::format("{} has no BAR{}", file_, index), "remove it");
    if (bar && !size)
      return errors_.Add(place_, fmt::format("{} has a BAR{}, whose size is missing", file_, index),
                         fmt::format("give \"bar{}\", which `lspci -v` tells", index));
    if (bar && *size != 0) CheckSize(index, *bar, *size);
  }

  void CheckSize(unsigned index, const ConfigImage::Bar& bar, u64 size) {
    const bool io = bar.space == BarSpace::kIo;
    if (!std::has_single_bit(size)) return;  // said with the other parameters
    if (io && size > kMostPorts)
      errors_.Add(PlaceOf(index), fmt::format("{} is too large for an I/O BAR", FormatSize(size)),
                  fmt::format("give a power of two from 4 to {}", kMostPorts));
    else if (!io && size < kLeastMemory)
      errors_.Add(PlaceOf(index), fmt::format("{} is too small for a memory BAR", size),
                  fmt::format("give a power of two from {}", kLeastMemory));
    else if (bar.address % size != 0)
      errors_.Add(PlaceOf(index),
                  fmt::format("in {} BAR{} is at {:#x}, where none of {} can be", file_, index,
                              bar.address, FormatSize(size)),
                  fmt::format("give at most {}", FormatSize(bar.address & -bar.address)));
  }

  void CheckMsix(const std::string& config, std::string_view what, unsigned index, u64 end) {
    const auto bar = index < 6 ? image_.BarAt(index) : std::nullopt;
    if (!bar || bar->space == BarSpace::kIo)
      return errors_.Add(
          config, fmt::format("{} has its {} in BAR{}, which is no memory", file_, what, index),
          "give the dump of another device");
    const u64 size = SizeOf(index).value_or(0);
    if (size != 0 && end > size)
      errors_.Add(PlaceOf(index),
                  fmt::format("{} is too small: in {} the {} ends at {:#x}", FormatSize(size),
                              file_, what, end),
                  fmt::format("give at least {}", FormatSize(std::bit_ceil(end))));
  }

  std::string place_;
  const DeviceDraft& device_;
  ErrorList& errors_;
  std::string file_;
  ConfigImage image_;
};

}  // namespace

void CheckReplica(const std::string& place, const DeviceDraft& device, ErrorList& errors) {
  const auto dump = device.dumps.find(std::string(kConfigDump));
  if (dump == device.dumps.end() || !dump->second || dump->second->bytes.empty()) return;
  ReplicaCheck(place + "/params", device, errors).Run();
}

}  // namespace vfiolab::topology
