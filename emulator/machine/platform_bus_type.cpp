#include "machine/platform_bus_type.hpp"

#include <fmt/format.h>

#include "machine/machine.hpp"

namespace vfiolab {
namespace {

class HostDriver final : public PlatformDriver {
 public:
  void Learn(const PlatformSlot& slot) { known_.insert(slot.device().identity().compatible); }

  bool manages_dma() const override { return false; }
  bool Matches(const PlatformSlot& slot) const override {
    return known_.contains(slot.device().identity().compatible);
  }
  void Probe(PlatformSlot&) override {}
  void Remove(PlatformSlot&, std::function<void()> done) override { done(); }

 private:
  std::set<std::string_view> known_;
};

}  // namespace

void PlatformBusType::Register(const std::string& name, std::unique_ptr<PlatformDriver> driver) {
  drivers_[name] = std::move(driver);
}

void PlatformBusType::RegisterHostDriver(const std::string& name, const PlatformSlot& slot) {
  auto& driver = drivers_[name];
  if (!driver) driver = std::make_unique<HostDriver>();
  static_cast<HostDriver&>(*driver).Learn(slot);
}

void PlatformBusType::ProbeAll(const std::string& driver) {
  PlatformDriver& probes = *drivers_.at(driver);
  for (const auto& [name, slot] : machine_.platform_devices()) {
    if (slot->driver() != driver) continue;
    if (probes.Accept(*slot))
      probes.Probe(*slot);
    else
      slot->set_driver("");
  }
}

bool PlatformBusType::ManagesDma(const std::string& driver) const {
  const auto it = drivers_.find(driver);
  return driver.empty() || it == drivers_.end() || it->second->manages_dma();
}

PlatformSlot* PlatformBusType::Find(std::string_view name) const {
  if (name.ends_with('\n')) name.remove_suffix(1);
  return machine_.platform_device(name);
}

bool PlatformBusType::Matches(const std::string& name, const PlatformSlot& slot) const {
  if (const auto& only = slot.driver_override()) return *only == name;
  return drivers_.at(name)->Matches(slot);
}

Result<> PlatformBusType::Attach(const std::string& name, PlatformSlot& slot) {
  PlatformDriver& driver = *drivers_.at(name);
  if (!driver.manages_dma() && slot.group().owned_by_user())
    return Fail(EBUSY, fmt::format("user space owns group {}", slot.group().id()));
  TRY(driver.Accept(slot));
  slot.set_driver(name);
  driver.Probe(slot);
  for (const auto& listener : listeners_) listener->OnBound(slot);
  return {};
}

Result<> PlatformBusType::Bind(const std::string& driver, std::string_view device) {
  PlatformSlot* slot = Find(device);
  if (slot == nullptr || !Matches(driver, *slot))
    return Fail(ENODEV, fmt::format("{} has no use for '{}'", driver, device));
  if (!slot->driver().empty()) return Fail(EBUSY, fmt::format("{} has it", slot->driver()));
  return Attach(driver, *slot);
}

Result<> PlatformBusType::Unbind(const std::string& driver, std::string_view device,
                                 std::function<void()> done) {
  PlatformSlot* slot = Find(device);
  if (slot == nullptr || slot->driver() != driver)
    return Fail(ENODEV, fmt::format("{} does not have '{}'", driver, device));
  auto& waiting = leaving_[slot];
  waiting.push_back(std::move(done));
  if (waiting.size() > 1) return {};
  for (const auto& listener : listeners_) listener->OnUnbinding(*slot, driver);
  drivers_.at(driver)->Remove(*slot, [this, slot, driver] {
    slot->set_driver("");
    for (const auto& listener : listeners_) listener->OnUnbound(*slot, driver);
    const auto freed = leaving_.extract(slot);
    for (const auto& tell : freed.mapped()) tell();
  });
  return {};
}

Result<> PlatformBusType::Probe(std::string_view device) {
  PlatformSlot* slot = Find(device);
  if (slot == nullptr) return Fail(ENODEV, fmt::format("no device '{}'", device));
  if (!slot->driver().empty()) return {};
  for (const auto& [name, driver] : drivers_) {
    if (!Matches(name, *slot)) continue;
    if (const auto attached = Attach(name, *slot); !attached)
      return Fail(EINVAL, attached.error().reason);
    break;
  }
  return {};
}

}  // namespace vfiolab
