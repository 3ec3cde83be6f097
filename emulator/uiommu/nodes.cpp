#include "uiommu/nodes.hpp"

#include <linux/pci_regs.h>

#include "uiommu/recovery.hpp"

namespace vfiolab::uiommu {
namespace {

std::string NameOf(unsigned number) { return fmt::format("vfio{}", number); }

// Whether COMMAND can disable INTx, as PCI 2.3 has it.
bool CanDisableIntx(DeviceSlot& slot) {
  ConfigSpace config = slot.config();
  const u16 wanted = static_cast<u16>(config.Get(PCI_COMMAND, 2) ^ PCI_COMMAND_INTX_DISABLE);
  config.Write(PCI_COMMAND, BytesOf(wanted));
  return config.Get(PCI_COMMAND, 2) == wanted;
}

}  // namespace

class Uiommu::PciDriver final : public Driver {
 public:
  explicit PciDriver(Uiommu& uiommu) : uiommu_(uiommu) {}
  bool manages_dma() const override { return false; }
  bool Matches(const DeviceSlot&) const override { return false; }
  Result<> Accept(DeviceSlot& slot) override {
    // Their offsets would be those of the BARs behind.
    for (const auto& bar : slot.bars())
      if (bar && bar->size >> uiommu_.revision_.region_shift > 1)
        return Fail(EINVAL, fmt::format("a BAR of {:#x} bytes", bar->size));
    if (uiommu_.revision_.needs_intx_disable && !CanDisableIntx(slot))
      return Fail(ENODEV, "COMMAND cannot disable INTx");
    return {};
  }
  void Probe(DeviceSlot& slot) override { uiommu_.Add(slot); }
  void Remove(DeviceSlot& slot, std::function<void()> done) override {
    uiommu_.Remove(slot, std::move(done));
  }
  bool can_make_virtual_functions() const override { return false; }

 private:
  Uiommu& uiommu_;
};

Uiommu::Uiommu(Machine& machine, const Revision& revision)
    : machine_(machine),
      revision_(revision),
      events_(machine, revision, [this](Bdf bdf) { return Find(bdf); }) {
  machine_.pci_bus().Register(std::string(kEarlyVfio), std::make_unique<PciDriver>(*this));
  machine_.pci_bus().ProbeAll(std::string(kEarlyVfio));
  if (revision_.follows_process)
    machine_.set_unmap_listener(
        [this](CallContext& caller, ClientAddress from, u64 size) { OnUnmap(caller, from, size); });
  machine_.set_suspend_listener([this](auto done) { Sleep(std::move(done)); });
}

Uiommu::~Uiommu() {
  machine_.set_unmap_listener(nullptr);
  machine_.set_suspend_listener(nullptr);
}

Device* Uiommu::Find(const DeviceSlot& slot) const {
  const auto found = devices_.find(&slot);
  const bool kept = found != devices_.end() && !found->second.device->wanted_back();
  return kept ? found->second.device.get() : nullptr;
}

Device* Uiommu::Find(Bdf bdf) const {
  const DeviceSlot* slot = machine_.device(bdf);
  return slot == nullptr ? nullptr : Find(*slot);
}

void Uiommu::InjectError(const DeviceSlot& slot, std::string_view text, ClassAttribute::Done done) {
  const auto state = ParseChannelState(text);
  if (!state) return done(Fail(EINVAL, "neither normal nor frozen nor failure"));
  Device* device = Find(slot);
  if (device == nullptr) return done(Fail(ENODEV, "the device has left its driver"));
  Recovery::Start(events_, *device, *state, std::move(done));
}

std::vector<Device*> Uiommu::OpenDevices() const {
  std::vector<Device*> open;
  for (const auto& [slot, bound] : devices_)
    if (bound.device->function().open() && !bound.device->wanted_back())
      open.push_back(bound.device.get());
  std::ranges::sort(open, {}, [](Device* device) { return device->slot().bdf(); });
  return open;
}

// Whoever was asked is told that it is over, also of a sleep that was refused
// (kernel/power/suspend.c suspend_prepare).
void Uiommu::Sleep(std::function<void(Result<>)> done) {
  events_.AskForSleep(OpenDevices(), [this, done = std::move(done)](Result<> allowed) {
    if (allowed || allowed.error().code != EBUSY)
      for (Device* device : OpenDevices())
        static_cast<void>(events_.Tell(*device, Message::kPmResume));
    done(std::move(allowed));
  });
}

void Uiommu::OnUnmap(CallContext& caller, ClientAddress from, u64 size) {
  const bool any = std::ranges::any_of(
      devices_, [](const auto& entry) { return entry.second.device->mappings_of_files > 0; });
  if (!any) return;
  const auto space = caller.address_space();
  if (!space) return;  // it has gone, and its memory with it
  for (const auto& [slot, bound] : devices_) bound.device->OnUnmap(**space, from, size);
}

void Uiommu::Add(DeviceSlot& slot) {
  const unsigned number = FreeNumber();
  slot.SetRegionShift(revision_.region_shift);
  auto device = std::make_unique<Device>(slot, revision_, events_);
  // Who has the file open may read it when the device has gone.
  const auto locked_pages = [this, &slot] {
    const auto found = devices_.find(&slot);
    return fmt::format("{}\n", found == devices_.end() ? 0 : found->second.device->locked_pages());
  };
  const auto inject_error = [this, &slot](std::string_view text, ClassAttribute::Done done) {
    InjectError(slot, text, std::move(done));
  };
  devices_.emplace(&slot, Bound{number, std::move(device)});
  machine_.pci_bus().AddClassDevice({.class_name = "vfio",
                                     .name = NameOf(number),
                                     .node = NameOf(number),
                                     .minor = number,
                                     .parent = &slot,
                                     .members = {},
                                     .attributes = {{"locked_pages", {locked_pages, nullptr}},
                                                    {"inject_error", {nullptr, inject_error}}}});
  AddNode(slot);
}

// Of devices that are to go the numbers are free already.
unsigned Uiommu::FreeNumber() const {
  unsigned number = 0;
  while (std::ranges::any_of(devices_, [&](const auto& entry) {
    const Bound& bound = entry.second;
    return bound.number == number && !bound.device->wanted_back();
  }))
    ++number;
  return number;
}

void Uiommu::Remove(DeviceSlot& slot, std::function<void()> done) {
  const Bound& bound = devices_.at(&slot);
  machine_.pci_bus().RemoveClassDevice(NameOf(bound.number));
  if (nodes_ != nullptr) nodes_->Remove(NameOf(bound.number));
  static_cast<void>(events_.Tell(*bound.device, Message::kRemove));
  bound.device->GiveBack([this, &slot, done = std::move(done)] {
    events_.OnGone(*devices_.at(&slot).device);
    devices_.erase(&slot);
    slot.SetRegionShift(kRegionShift);
    done();
  });
}

void Uiommu::AddNode(const DeviceSlot& slot) {
  if (nodes_ == nullptr) return;
  const Bound& bound = devices_.at(&slot);
  const std::string name = NameOf(bound.number);
  // Who has looked the node up may open it when the device has gone.
  const auto open = [this, &slot, name](CallContext&) -> Result<std::shared_ptr<OpenFile>> {
    const auto found = devices_.find(&slot);
    if (found == devices_.end() || NameOf(found->second.number) != name ||
        found->second.device->wanted_back())
      return Fail(ENODEV, "the device has left its driver");
    return std::shared_ptr<OpenFile>(
        std::make_shared<DeviceFile>(*found->second.device, "/dev/" + name));
  };
  nodes_->Add(name, std::make_shared<DeviceNode>(0600, open));
}

void Uiommu::AddNodes(Directory& dev) {
  nodes_ = &dev;
  AddDomainNode(dev);
  for (const auto& [slot, bound] : devices_) AddNode(*slot);
}

}  // namespace vfiolab::uiommu
