// Drivers and the functions they are bound to (drivers/base/bus.c, dd.c, drivers/pci/pci-driver.c).
#pragma once
#include <compare>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "machine/class_device.hpp"
#include "pci/bdf.hpp"

namespace vfiolab {

class DeviceSlot;
class Machine;

struct PciId {
  u32 vendor, device;
  auto operator<=>(const PciId&) const = default;
};

inline constexpr std::string_view kVfioPci = "vfio-pci", kPciStub = "pci-stub";
// The driver of interfaces of before VFIO was merged.
inline constexpr std::string_view kEarlyVfio = "vfio";

class Driver {
 public:
  virtual ~Driver() = default;
  // Whether user space may own the DMA of a group while the driver has one of its functions.
  virtual bool manages_dma() const = 0;
  // By the ids that the driver was built with.
  virtual bool Matches(const DeviceSlot& slot) const = 0;
  // Whether it takes a function that has just come to the bus, whatever its ids.
  virtual bool Claims(DeviceSlot&) { return false; }
  // Why its probe fails, if it does.
  virtual Result<> Accept(DeviceSlot&) { return {}; }
  virtual void Probe(DeviceSlot& slot) = 0;
  // Lets the function go. `done` runs when nobody uses it any more, perhaps at once.
  virtual void Remove(DeviceSlot& slot, std::function<void()> done) = 0;
  // Whether it can make virtual functions for who asks (has sriov_configure), and now does.
  virtual bool can_make_virtual_functions() const = 0;
  virtual bool makes_virtual_functions() const { return can_make_virtual_functions(); }
  // Whether it takes them away when it lets a physical function go, and takes those that come.
  virtual bool owns_virtual_functions() const { return false; }
};

// Hears of functions that have got a driver or lost it.
class DriverListener {
 public:
  virtual ~DriverListener() = default;
  virtual void OnBound(DeviceSlot& slot) = 0;
  // In turn: the function shall lose its driver; its virtual functions, if that takes them along,
  // have gone, and it will be let go as soon as nobody uses it; it has no driver.
  virtual void OnUnbinding(DeviceSlot& slot, const std::string& driver) = 0;
  virtual void OnLettingGo(DeviceSlot& slot, const std::string& driver) = 0;
  virtual void OnUnbound(DeviceSlot& slot, const std::string& driver) = 0;
  // The function has come to the bus, or left it; it has no driver then.
  virtual void OnAdded(DeviceSlot& slot) = 0;
  virtual void OnRemoved(DeviceSlot& slot) = 0;
  // A virtual function has come and will get a driver, or is about to lose it and to go.
  virtual void OnVirtualFunction(DeviceSlot& slot, bool comes) = 0;
  // A class device has come or is going.
  virtual void OnClassDevice(const ClassDevice& device, bool comes) = 0;
};

// Functions are named as sysfs does it, perhaps with a newline behind.
class PciBusType {
 public:
  explicit PciBusType(Machine& machine) : machine_(machine) {}

  void Register(const std::string& name, std::unique_ptr<Driver> driver);
  // A driver of the host, of which only that it has `slot` is known, and that it may have it again.
  void RegisterHostDriver(const std::string& name, const DeviceSlot& slot);
  bool IsRegistered(const std::string& name) const { return drivers_.contains(name); }
  // Gives each function that has the driver, as the topology says, to it. One that the driver does
  // not accept has none.
  void ProbeAll(const std::string& driver);
  // Whether user space may own the DMA of a group with this driver in it; true without a driver.
  bool ManagesDma(const std::string& driver) const;
  void AddListener(std::unique_ptr<DriverListener> listener) {
    listeners_.push_back(std::move(listener));
  }

  // What a driver has made, by name.
  void AddClassDevice(ClassDevice device);
  void RemoveClassDevice(const std::string& name);
  const std::map<std::string, ClassDevice>& class_devices() const { return class_devices_; }

  // ENODEV: no such function, or the driver does not match it. EBUSY: it has a driver, or user
  // space owns its group's DMA and the driver cannot bear that.
  Result<> Bind(const std::string& driver, std::string_view function);
  // ENODEV: the driver does not have it. `done` runs when it is free, perhaps at once.
  Result<> Unbind(const std::string& driver, std::string_view function, std::function<void()> done);
  // Binds a function that has no driver to the first that matches. ENODEV: no such function.
  // EINVAL: the driver could not take it.
  Result<> Probe(std::string_view function);
  // Takes the function off the bus, and its driver before; `done` runs when that is done, perhaps
  // at once.
  void Remove(DeviceSlot& slot, std::function<void()> done);
  // Finds again what was taken off, as new: only a driver that knows it gets it.
  void Rescan();
  // How many virtual functions a function has now, and shall have. `done` gets: ENOENT: no driver
  // that makes some. EBUSY: there are others. ENOMEM: the topology describes fewer. It runs when
  // those that go are not used any more, perhaps at once.
  unsigned CountVirtualFunctions(const DeviceSlot& physical) const;
  void SetVirtualFunctions(DeviceSlot& physical, unsigned count,
                           std::function<void(Result<>)> done);
  // "VENDOR DEVICE ..." in hexadecimal. EINVAL: not so. EEXIST: the driver knows the id. Binds what
  // matches.
  Result<> NewId(const std::string& driver, std::string_view text);
  // ENODEV: no such id was given.
  Result<> RemoveId(const std::string& driver, std::string_view text);

 private:
  struct Entry {
    std::unique_ptr<Driver> driver;
    std::set<PciId> ids;  // given by new_id
  };
  DeviceSlot* Find(std::string_view name) const;
  void Leave(DeviceSlot& slot, const std::string& driver, std::function<void()> done);
  void LetGo(DeviceSlot& slot, const std::string& driver);
  void FindAgain(DeviceSlot& slot);
  void AddVirtualFunctions(DeviceSlot& physical, unsigned count);
  void TakeVirtualFunctions(DeviceSlot& physical, std::function<void()> done);
  void TakeVirtualFunction(DeviceSlot& physical, std::size_t index, std::function<void()> done);
  bool Matches(const std::string& name, const Entry& entry, const DeviceSlot& slot) const;
  Result<> Attach(const std::string& name, Entry& entry, DeviceSlot& slot);

  Machine& machine_;
  std::map<std::string, Entry> drivers_;
  std::vector<std::unique_ptr<DriverListener>> listeners_;
  std::map<std::string, ClassDevice> class_devices_;
  using Waiting = std::map<const DeviceSlot*, std::vector<std::function<void()>>>;
  Waiting leaving_;   // who waits for each
  Waiting changing_;  // and who for physical functions whose virtual ones are going
};

}  // namespace vfiolab
