// Class devices of VFIO: what a driver of it makes of a device, and of its group
// (drivers/base/core.c device_create, drivers/vfio/vfio_main.c, group.c).
#pragma once
#include <sys/types.h>

#include <map>
#include <set>

#include "machine/machine.hpp"
#include "sysfs/tree.hpp"

namespace vfiolab::sysfs {

// Numbers that are given out and come back (lib/idr.c): the lowest that is free.
class Ida {
 public:
  unsigned Take() {
    unsigned number = 0;
    while (taken_.contains(number)) ++number;
    taken_.insert(number);
    return number;
  }
  void Release(unsigned number) { taken_.erase(number); }

 private:
  std::set<unsigned> taken_;
};

class Classes {
 public:
  // `nodes` stands for /dev/vfio: where its nodes have numbers, those are shown.
  Classes(Tree tree, const Directory* nodes);

  // Makes `path` a device of class `class_name`.
  void Add(const std::string& path, std::string_view class_name);
  void Remove(const std::string& path, std::string_view class_name);
  // Shows the number of the device whose node is /dev/`node`, which is `own` where that has none.
  void AddNumber(const std::string& path, dev_t own, const std::string& node);

  // VFIO has the device at `path` of `group`, which may be null: vfio-dev/vfioN below it, and
  // devices/virtual/vfio/N for the first one of a group.
  void AddVfio(const std::string& path, const IommuGroup* group);
  // It is about to let it go, and has let it go.
  void RemoveVfio(const std::string& path);
  void LeaveGroup(const IommuGroup* group);

 private:
  dev_t NodeNumber(std::string_view path, dev_t own) const;
  void AddGroup(unsigned id);

  Tree tree_;
  const Directory* nodes_;
  std::map<unsigned, unsigned> members_;  // how many VFIO has of each group
  std::map<unsigned, unsigned> group_minors_;
  std::map<std::string, unsigned> numbers_;  // of devices, by path
  Ida minors_, devices_;
};

}  // namespace vfiolab::sysfs
