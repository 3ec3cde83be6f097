// The drivers of platform devices, and which each has (drivers/base/platform.c, bus.c, dd.c).
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace vfiolab {

class Machine;
class PlatformSlot;

inline constexpr std::string_view kVfioPlatform = "vfio-platform";

class PlatformDriver {
 public:
  virtual ~PlatformDriver() = default;
  // Whether user space may own the DMA of a group while the driver has one of its devices.
  virtual bool manages_dma() const = 0;
  // By what the driver was built for.
  virtual bool Matches(const PlatformSlot& slot) const = 0;
  // Why its probe fails, if it does.
  virtual Result<> Accept(PlatformSlot&) { return {}; }
  virtual void Probe(PlatformSlot& slot) = 0;
  // Lets the device go. `done` runs when nobody uses it any more, perhaps at once.
  virtual void Remove(PlatformSlot& slot, std::function<void()> done) = 0;
};

// Hears of devices that have got a driver or lost it.
class PlatformListener {
 public:
  virtual ~PlatformListener() = default;
  virtual void OnBound(PlatformSlot& slot) = 0;
  // In turn: the device shall lose its driver as soon as nobody uses it; it has none.
  virtual void OnUnbinding(PlatformSlot& slot, const std::string& driver) = 0;
  virtual void OnUnbound(PlatformSlot& slot, const std::string& driver) = 0;
};

// Devices are named as sysfs does it, perhaps with a newline behind.
class PlatformBusType {
 public:
  explicit PlatformBusType(Machine& machine) : machine_(machine) {}

  void Register(const std::string& name, std::unique_ptr<PlatformDriver> driver);
  // A driver of the host, of which only that it has `slot` is known, and that it may have it again.
  void RegisterHostDriver(const std::string& name, const PlatformSlot& slot);
  bool IsRegistered(const std::string& name) const { return drivers_.contains(name); }
  // Gives each device that has the driver, as the topology says, to it. One that the driver does
  // not accept has none.
  void ProbeAll(const std::string& driver);
  // Whether user space may own the DMA of a group with this driver in it; true without a driver.
  bool ManagesDma(const std::string& driver) const;
  void AddListener(std::unique_ptr<PlatformListener> listener) {
    listeners_.push_back(std::move(listener));
  }

  // ENODEV: no such device, or the driver does not match it. EBUSY: it has a driver, or user space
  // owns its group's DMA and the driver cannot bear that; else what the driver says.
  Result<> Bind(const std::string& driver, std::string_view device);
  // ENODEV: the driver does not have it. `done` runs when it is free, perhaps at once.
  Result<> Unbind(const std::string& driver, std::string_view device, std::function<void()> done);
  // Binds a device that has no driver to the first that matches. ENODEV: no such device. EINVAL:
  // the driver could not take it.
  Result<> Probe(std::string_view device);

 private:
  PlatformSlot* Find(std::string_view name) const;
  bool Matches(const std::string& name, const PlatformSlot& slot) const;
  Result<> Attach(const std::string& name, PlatformSlot& slot);

  Machine& machine_;
  std::map<std::string, std::unique_ptr<PlatformDriver>> drivers_;
  std::vector<std::unique_ptr<PlatformListener>> listeners_;
  std::map<const PlatformSlot*, std::vector<std::function<void()>>> leaving_;  // who waits for each
};

}  // namespace vfiolab
