// A device as user space finds it by its class (drivers/base/core.c device_create).
#pragma once
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace vfiolab {

class DeviceSlot;

struct ClassAttribute {
  std::function<std::string()> show;  // null: it cannot be read
  // Takes what was written; `done` runs when it is known what that comes to, perhaps at once. Null:
  // it cannot be written.
  using Done = std::function<void(Result<>)>;
  std::function<void(std::string_view text, Done done)> store;
};

struct ClassDevice {
  std::string class_name;
  std::string name;  // unique in its class
  std::string node;  // below /dev
  unsigned minor = 0;
  const DeviceSlot* parent = nullptr;  // the function that it is made of; none: it is virtual
  // The functions that its directory "devices" links to; without, it has none.
  std::vector<const DeviceSlot*> members;
  std::map<std::string, ClassAttribute> attributes;  // files of its directory, by name
};

}  // namespace vfiolab
