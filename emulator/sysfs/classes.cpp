#include "sysfs/classes.hpp"

#include <fmt/format.h>
#include <sys/sysmacros.h>

namespace vfiolab::sysfs {
namespace {

// From the kernel's second range of dynamic majors, which hosts hardly ever reach: nobody who looks
// these numbers up in /dev/char shall find a device of the host.
constexpr unsigned kGroupMajor = 385;

std::string VfioGroupPath(unsigned id) { return fmt::format("devices/virtual/vfio/{}", id); }

}  // namespace

Classes::Classes(Tree tree, const Directory* nodes) : tree_(tree), nodes_(nodes) {
  tree_.MakeDirectory("class/vfio");
  tree_.MakeDirectory("class/vfio-dev");
}

void Classes::Add(const std::string& path, std::string_view class_name) {
  tree_.MakeFleeting(path);
  const std::string class_path = fmt::format("class/{}", class_name);
  tree_.Link(path + "/subsystem", class_path);
  tree_.Link(class_path + path.substr(path.rfind('/')), path);
}

void Classes::Remove(const std::string& path, std::string_view class_name) {
  tree_.Remove(fmt::format("class/{}{}", class_name, path.substr(path.rfind('/'))));
  tree_.Remove(path);
}

void Classes::AddNumber(const std::string& path, dev_t own, const std::string& node) {
  const auto number = [this, own, node] { return NodeNumber(node, own); };
  tree_.Text(path + "/dev",
             [number] { return fmt::format("{}:{}\n", major(number()), minor(number())); });
  tree_.Text(path + "/uevent", [number, node] {
    return fmt::format("MAJOR={}\nMINOR={}\nDEVNAME={}\n", major(number()), minor(number()), node);
  });
}

dev_t Classes::NodeNumber(std::string_view path, dev_t own) const {
  constexpr std::string_view kOfNodes = "vfio/";
  if (nodes_ == nullptr || !path.starts_with(kOfNodes)) return own;
  const auto node = nodes_->Lookup(path.substr(kOfNodes.size()));
  const auto* device = dynamic_cast<const DeviceNode*>(node.get());
  return device == nullptr ? own : device->number().value_or(own);
}

void Classes::AddVfio(const std::string& path, const IommuGroup* group) {
  if (group != nullptr && members_[group->id()]++ == 0) AddGroup(group->id());
  const unsigned number = numbers_[path] = devices_.Take();
  tree_.MakeFleeting(path + "/vfio-dev");
  const std::string device = fmt::format("{}/vfio-dev/vfio{}", path, number);
  // As on a kernel without device nodes for VFIO devices: no `dev`, and nothing to say.
  tree_.Text(device + "/uevent", [] { return std::string(); });
  Add(device, "vfio-dev");
  tree_.Link(device + "/device", path);
}

void Classes::RemoveVfio(const std::string& path) {
  const unsigned number = numbers_.at(path);
  Remove(fmt::format("{}/vfio-dev/vfio{}", path, number), "vfio-dev");
  tree_.Remove(path + "/vfio-dev");
  devices_.Release(number);
  numbers_.erase(path);
}

void Classes::LeaveGroup(const IommuGroup* group) {
  if (group == nullptr || --members_[group->id()] > 0) return;
  Remove(VfioGroupPath(group->id()), "vfio");
  minors_.Release(group_minors_.at(group->id()));
}

void Classes::AddGroup(unsigned id) {
  const std::string path = VfioGroupPath(id);
  group_minors_[id] = minors_.Take();
  AddNumber(path, makedev(kGroupMajor, group_minors_[id]), fmt::format("vfio/{}", id));
  Add(path, "vfio");
}

}  // namespace vfiolab::sysfs
