#include "plugins/load_plugin.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <list>
#include <mutex>

#include "plugins/described_model.hpp"

namespace vfiolab::plugins {

Result<Model> LoadPlugin(const std::string& path, const std::string& name) {
  // Without a slash the loader would look elsewhere.
  const std::string place = path.find('/') == path.npos ? "./" + path : path;
  void* object = ::dlopen(place.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr) return Fail(ENOENT, ::dlerror());
  const auto entry = reinterpret_cast<decltype(&vfiolab_plugin)>(::dlsym(object, "vfiolab_plugin"));
  if (entry == nullptr) return Fail(EINVAL, "it exports no vfiolab_plugin()");
  const vfiolab_model* description = entry();
  if (description == nullptr) return Fail(EINVAL, "its vfiolab_plugin() returns nothing");
  static std::mutex one_at_a_time;
  static std::list<std::unique_ptr<DescribedModel>> loaded;
  const std::lock_guard lock(one_at_a_time);
  loaded.push_back(TRY(DescribedModel::Make(*description, name)));
  return loaded.back()->model();
}

}  // namespace vfiolab::plugins
