// The resources of a PCI function, and the files that reach its BARs and its config space
// (drivers/pci/pci-sysfs.c, probe.c).
#include <fmt/format.h>
#include <linux/pci_regs.h>

#include <algorithm>

#include "sysfs/parts.hpp"
#include "vfs/attribute.hpp"

namespace vfiolab::sysfs {
namespace {

// include/linux/ioport.h
constexpr u64 kIo = 0x100, kMemory = 0x200, kPrefetch = 0x2000, kAlignedToSize = 0x40000,
              kMemory64 = 0x100000;
// Functions show their BARs, the ROM and six of SR-IOV; bridges four windows behind these.
constexpr int kFunctionResources = 13;

std::string Line(u64 first, u64 last, u64 flags) {
  return fmt::format("{:#018x} {:#018x} {:#018x}\n", first, last, flags);
}

std::string NoResources(int count) {
  std::string text;
  while (count-- > 0) text += Line(0, 0, 0);
  return text;
}

std::string BarLine(const BarLayout& bar) {
  u64 flags = bar.TypeBits() | kAlignedToSize | (bar.io ? kIo : kMemory);
  if (bar.prefetchable) flags |= kPrefetch;
  if (bar.wide) flags |= kMemory64;
  return Line(bar.address, bar.address + (bar.size - 1), flags);
}

template <class T>
std::string WindowLine(const std::optional<std::pair<T, T>>& window, u64 flags) {
  return window ? Line(window->first, window->second, flags) : Line(0, 0, 0);
}

// I/O, memory and prefetchable memory; the fourth is for CardBus. The low bits of each flag word
// are the type bits of the window's register.
std::string WindowLines(const Bridge& bridge) {
  const u32 io_type = bridge.config.Get(PCI_IO_BASE, 1) & PCI_IO_RANGE_TYPE_MASK;
  const u32 prefetch_type = bridge.config.Get(PCI_PREF_MEMORY_BASE, 2) & PCI_PREF_RANGE_TYPE_MASK;
  const u64 wide = prefetch_type == PCI_PREF_RANGE_TYPE_64 ? kMemory64 : 0;
  return WindowLine(bridge.windows.io, kIo | io_type) + WindowLine(bridge.windows.memory, kMemory) +
         WindowLine(bridge.windows.prefetchable, kMemory | kPrefetch | wide | prefetch_type) +
         NoResources(1);
}

bool DecodesIo(const DeviceSlot& slot) {
  return slot.config().Get(PCI_COMMAND, 2) & PCI_COMMAND_IO;
}

bool IsPortWidth(std::size_t count) { return count == 1 || count == 2 || count == 4; }

// One access, or one for each byte where the bus would split it.
template <class Bytes, class F>
void OnBus(Bytes bytes, u64 at, F&& access) {
  if (at % bytes.size() == 0) return access(bytes, at);
  for (std::size_t i = 0; i < bytes.size(); ++i) access(bytes.subspan(i, 1), at + i);
}

// The kernel reads and writes ports as they are: when the function does not decode them, nobody
// answers, which is all ones.
BinaryFile::Operations PortAccess(DeviceSlot& slot, unsigned bar) {
  return {[&slot, bar](std::span<std::byte> to, u64 offset) -> Result<long> {
            if (!IsPortWidth(to.size())) return Fail(EINVAL, "ports are 1, 2 or 4 bytes wide");
            std::ranges::fill(to, std::byte{0xff});
            if (DecodesIo(slot))
              OnBus(to, offset, [&](auto bytes, u64 at) { slot.ReadBar(bar, at, bytes); });
            return static_cast<long>(to.size());
          },
          [&slot, bar](std::span<const std::byte> from, u64 offset) -> Result<long> {
            if (!IsPortWidth(from.size())) return Fail(EINVAL, "ports are 1, 2 or 4 bytes wide");
            if (DecodesIo(slot))
              OnBus(from, offset, [&](auto bytes, u64 at) { slot.WriteBar(bar, at, bytes); });
            return static_cast<long>(from.size());
          }};
}

BinaryFile::Operations ConfigAccess(const PciFunction& function) {
  return {[function](std::span<std::byte> to, u64 offset) -> Result<long> {
            function.config().Read(offset, to);
            return static_cast<long>(to.size());
          },
          [function](std::span<const std::byte> from, u64 offset) -> Result<long> {
            if (function.slot != nullptr)
              function.slot->WriteConfig(offset, from);
            else
              function.bridge->config.Write(offset, from);
            return static_cast<long>(from.size());
          }};
}

void AddBinary(Tree& tree, const PciFunction& function, std::string_view name, u64 size,
               mode_t permissions, BinaryFile::Operations operations) {
  const std::string path = fmt::format("{}/{}", function.path, name);
  tree.File(path,
            std::make_shared<BinaryFile>("/sys/" + path, size, permissions, std::move(operations)));
}

}  // namespace

std::string ResourceText(const PciFunction& function) {
  if (function.bridge != nullptr)
    return NoResources(kFunctionResources) + WindowLines(*function.bridge);
  std::string text;
  const BarLayouts& bars = function.slot->bars();
  for (const auto& bar : bars) text += bar ? BarLine(*bar) : Line(0, 0, 0);
  return text + NoResources(kFunctionResources - static_cast<int>(bars.size()));
}

void AddAccessFiles(Tree& tree, const PciFunction& function) {
  AddBinary(tree, function, "config", function.config().size(), 0644, ConfigAccess(function));
  if (function.slot == nullptr) return;
  const BarLayouts& bars = function.slot->bars();
  for (unsigned i = 0; i < bars.size(); ++i) {
    if (!bars[i]) continue;
    // The kernel lets memory be mapped only, so a read or write of its file fails.
    auto operations = bars[i]->io ? PortAccess(*function.slot, i) : BinaryFile::Operations{};
    AddBinary(tree, function, fmt::format("resource{}", i), bars[i]->size, 0600,
              std::move(operations));
  }
}

}  // namespace vfiolab::sysfs
