// A device as user space finds it by its class (drivers/base/core.c device_create).
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace vfiolab {

class DeviceSlot;

struct ClassDevice {
  std::string class_name;
  std::string name;  // unique in its class
  std::string node;  // below /dev
  unsigned minor = 0;
  const DeviceSlot* parent = nullptr;  // the function that it is made of; none: it is virtual
  // The functions that its directory "devices" links to; without, it has none.
  std::vector<const DeviceSlot*> members;
  // Files of its directory, by name: what they say.
  std::map<std::string, std::function<std::string()>> attributes;
};

}  // namespace vfiolab
