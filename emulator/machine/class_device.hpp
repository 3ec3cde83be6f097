// A device as user space finds it by its class (drivers/base/core.c device_create).
#pragma once
#include <functional>
#include <map>
#include <string>

namespace vfiolab {

struct ClassDevice {
  std::string class_name;
  std::string name;  // unique in its class; that of its node in /dev
  unsigned minor = 0;
  // Files of its directory, by name: what they say.
  std::map<std::string, std::function<std::string()>> attributes;
};

}  // namespace vfiolab
