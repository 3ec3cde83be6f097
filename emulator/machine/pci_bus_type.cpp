#include "machine/pci_bus_type.hpp"

#include <fmt/format.h>

#include <charconv>

#include "machine/group_rules.hpp"

namespace vfiolab {
namespace {

class HostDriver final : public Driver {
 public:
  explicit HostDriver(bool manages_dma) : manages_dma_(manages_dma) {}
  void Learn(const DeviceSlot& slot) { ids_.insert(IdOf(slot)); }
  static PciId IdOf(const DeviceSlot& slot) {
    return {slot.device().identity().vendor_id, slot.device().identity().device_id};
  }

  bool manages_dma() const override { return manages_dma_; }
  bool Matches(const DeviceSlot& slot) const override { return ids_.contains(IdOf(slot)); }
  void Probe(DeviceSlot&) override {}
  void Remove(DeviceSlot&, std::function<void()> done) override { done(); }
  bool can_make_virtual_functions() const override { return !manages_dma_; }

 private:
  bool manages_dma_;
  std::set<PciId> ids_;
};

std::string_view Stripped(std::string_view name) {
  if (name.ends_with('\n')) name.remove_suffix(1);
  return name;
}

// Up to seven numbers; the first two are the id.
Result<PciId> ParseId(std::string_view text) {
  std::vector<u32> numbers;
  while (numbers.size() < 2) {
    const std::size_t begin = text.find_first_not_of(" \t\n");
    if (begin == text.npos) break;
    text.remove_prefix(begin);
    if (text.starts_with("0x")) text.remove_prefix(2);
    u32 number = 0;
    const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number, 16);
    if (error != std::errc{}) break;
    numbers.push_back(number);
    text.remove_prefix(static_cast<std::size_t>(rest - text.data()));
  }
  if (numbers.size() < 2) return Fail(EINVAL, "not the ids of a vendor and a device");
  return PciId{numbers[0], numbers[1]};
}

}  // namespace

void PciBusType::Register(const std::string& name, std::unique_ptr<Driver> driver) {
  drivers_[name].driver = std::move(driver);
}

void PciBusType::RegisterHostDriver(const std::string& name, const DeviceSlot& slot) {
  auto& driver = drivers_[name].driver;
  // It has no ids of its own, and is there to keep others away.
  const bool stub = name == kPciStub;
  if (!driver) driver = std::make_unique<HostDriver>(stub);
  if (!stub) static_cast<HostDriver&>(*driver).Learn(slot);
}

void PciBusType::ProbeAll(const std::string& driver) {
  Entry& entry = drivers_.at(driver);
  for (const auto& [bdf, slot] : machine_.devices()) {
    if (slot->driver() != driver) continue;
    // How else would the driver have come to it?
    if (!Matches(driver, entry, *slot)) entry.ids.insert(HostDriver::IdOf(*slot));
    if (entry.driver->Accept(*slot))
      entry.driver->Probe(*slot);
    else
      slot->set_driver("");
  }
}

void PciBusType::AddClassDevice(ClassDevice device) {
  const auto [added, is_new] = class_devices_.emplace(device.name, device);
  CHECK_OURS(is_new);
  for (const auto& listener : listeners_) listener->OnClassDevice(added->second, true);
}

void PciBusType::RemoveClassDevice(const std::string& name) {
  const auto removed = class_devices_.extract(name);
  for (const auto& listener : listeners_) listener->OnClassDevice(removed.mapped(), false);
}

bool PciBusType::ManagesDma(const std::string& driver) const {
  const auto it = drivers_.find(driver);
  return driver.empty() || it == drivers_.end() || it->second.driver->manages_dma();
}

DeviceSlot* PciBusType::Find(std::string_view name) const {
  const auto bdf = Bdf::Parse(std::string(Stripped(name)));
  DeviceSlot* slot = bdf ? machine_.device(*bdf) : nullptr;
  const bool found = slot != nullptr && slot->present() && slot->bdf().ToString() == Stripped(name);
  return found ? slot : nullptr;
}

bool PciBusType::Matches(const std::string& name, const Entry& entry,
                         const DeviceSlot& slot) const {
  if (const auto& only = slot.driver_override()) return *only == name;
  return entry.ids.contains(HostDriver::IdOf(slot)) || entry.driver->Matches(slot);
}

Result<> PciBusType::Attach(const std::string& name, Entry& entry, DeviceSlot& slot) {
  if (!entry.driver->manages_dma() && slot.group().owned_by_user())
    return Fail(EBUSY, fmt::format("user space owns group {}", slot.group().id()));
  TRY(entry.driver->Accept(slot));
  slot.set_driver(name);
  entry.driver->Probe(slot);
  for (const auto& listener : listeners_) listener->OnBound(slot);
  return {};
}

Result<> PciBusType::Bind(const std::string& driver, std::string_view function) {
  DeviceSlot* slot = Find(function);
  Entry& entry = drivers_.at(driver);
  if (slot == nullptr || !Matches(driver, entry, *slot))
    return Fail(ENODEV, fmt::format("{} has no use for '{}'", driver, function));
  if (!slot->driver().empty()) return Fail(EBUSY, fmt::format("{} has it", slot->driver()));
  return Attach(driver, entry, *slot);
}

Result<> PciBusType::Unbind(const std::string& driver, std::string_view function,
                            std::function<void()> done) {
  DeviceSlot* slot = Find(function);
  if (slot == nullptr || slot->driver() != driver)
    return Fail(ENODEV, fmt::format("{} does not have '{}'", driver, function));
  Leave(*slot, driver, std::move(done));
  return {};
}

void PciBusType::Leave(DeviceSlot& slot, const std::string& driver, std::function<void()> done) {
  auto& waiting = leaving_[&slot];
  waiting.push_back(std::move(done));
  if (waiting.size() > 1) return;
  for (const auto& listener : listeners_) listener->OnUnbinding(slot, driver);
  if (drivers_.at(driver).driver->owns_virtual_functions())
    TakeVirtualFunctions(slot, [this, &slot, driver] { LetGo(slot, driver); });
  else
    LetGo(slot, driver);
}

void PciBusType::LetGo(DeviceSlot& slot, const std::string& driver) {
  for (const auto& listener : listeners_) listener->OnLettingGo(slot, driver);
  drivers_.at(driver).driver->Remove(slot, [this, &slot, driver] {
    slot.set_driver("");
    for (const auto& listener : listeners_) listener->OnUnbound(slot, driver);
    const auto freed = leaving_.extract(&slot);
    for (const auto& tell : freed.mapped()) tell();
  });
}

void PciBusType::Remove(DeviceSlot& slot, std::function<void()> done) {
  auto take_off = [this, &slot, done = std::move(done)] {
    TakeVirtualFunctions(slot, [this, &slot, done] {
      if (!slot.driver().empty()) return Remove(slot, done);  // it has got one meanwhile
      if (slot.present()) {                                   // else two have asked for it
        slot.set_present(false);
        machine_.Leave(slot);
        for (const auto& listener : listeners_) listener->OnRemoved(slot);
      }
      done();
    });
  };
  if (slot.driver().empty())
    take_off();
  else
    Leave(slot, slot.driver(), std::move(take_off));
}

void PciBusType::Rescan() {
  for (const auto& [bdf, slot] : machine_.devices())
    if (!slot->present() && slot->physical_function() == nullptr) FindAgain(*slot);
}

void PciBusType::FindAgain(DeviceSlot& slot) {
  slot.set_present(true);
  slot.set_driver_override(std::nullopt);
  if (machine_.derives_groups()) {
    slot.set_group(nullptr);
    GroupFor(machine_, slot).Add(slot);
  } else {
    slot.group().Add(slot);
  }
  for (const auto& listener : listeners_) listener->OnAdded(slot);
  if (const DeviceSlot* physical = slot.physical_function()) {
    const auto owner = drivers_.find(physical->driver());
    if (owner != drivers_.end() && owner->second.driver->owns_virtual_functions())
      slot.set_driver_override(owner->first);
    for (const auto& listener : listeners_) listener->OnVirtualFunction(slot, true);
  }
  for (auto& [name, entry] : drivers_)
    if (entry.driver->Claims(slot)) return static_cast<void>(Attach(name, entry, slot));
  static_cast<void>(Probe(slot.bdf().ToString()));
}

Result<> PciBusType::Probe(std::string_view function) {
  DeviceSlot* slot = Find(function);
  if (slot == nullptr) return Fail(ENODEV, fmt::format("no function '{}'", function));
  if (!slot->driver().empty()) return {};
  for (auto& [name, entry] : drivers_) {
    if (!Matches(name, entry, *slot)) continue;
    if (const auto attached = Attach(name, entry, *slot); !attached)
      return Fail(EINVAL, attached.error().reason);
    break;
  }
  return {};
}

Result<> PciBusType::NewId(const std::string& driver, std::string_view text) {
  const PciId id = TRY(ParseId(text));
  Entry& entry = drivers_.at(driver);
  if (!entry.ids.insert(id).second) return Fail(EEXIST, "the driver has the id already");
  for (const auto& [bdf, slot] : machine_.devices())
    // What cannot be bound stays as it is.
    if (slot->present() && slot->driver().empty() && Matches(driver, entry, *slot))
      static_cast<void>(Attach(driver, entry, *slot));
  return {};
}

Result<> PciBusType::RemoveId(const std::string& driver, std::string_view text) {
  const PciId id = TRY(ParseId(text));
  if (drivers_.at(driver).ids.erase(id) == 0) return Fail(ENODEV, "the id was not given");
  return {};
}

}  // namespace vfiolab
