#include "preload/own_paths.hpp"

#include <algorithm>

#include "emulated_host/host_paths.hpp"

namespace vfiolab::preload {

Whose WhoseIs(const Directory& root, std::string_view path) {
  const Directory* directory = &root;
  for (std::size_t end = 0; end < path.size();) {
    const std::size_t next = std::min(path.find('/', end + 1), path.size());
    const std::string_view name = path.substr(end + 1, next - end - 1);
    end = next;
    const std::string_view so_far = path.substr(0, end);
    const auto node = directory->Lookup(name);
    if (node == nullptr) return IsHiddenOfHost(so_far) ? Whose::kOwn : Whose::kHost;
    if (!IsSharedDirectory(so_far)) return Whose::kOwn;
    directory = dynamic_cast<const Directory*>(node.get());
    if (directory == nullptr) return Whose::kOwn;
  }
  return Whose::kShared;
}

std::optional<std::string> OwnPath(const std::shared_ptr<Directory>& root, std::string_view path) {
  constexpr int kMostLinks = 40;  // linux/namei.h MAXSYMLINKS
  std::string at, left(path);
  for (int links = 0; !left.empty() && links <= kMostLinks;) {
    const std::size_t slash = std::min(left.find('/'), left.size());
    const std::string name = left.substr(0, slash);
    left.erase(0, slash + 1);
    if (name.empty() || name == ".") continue;
    if (name == "..") {
      at.erase(at.empty() ? 0 : at.rfind('/'));
      continue;
    }
    const std::string next = at + "/" + name;
    // The root itself is nobody's.
    if (WhoseIs(*root, next) == Whose::kHost) return std::nullopt;
    const auto found = in_process::Walk(root, next, false);
    const auto* link = found ? dynamic_cast<const Symlink*>(found->node.get()) : nullptr;
    if (link != nullptr && !left.empty()) {
      ++links;
      left = link->target() + "/" + left;
      if (link->target().starts_with('/')) at.clear();
    } else {
      at = next;
    }
  }
  if (at.empty()) return std::nullopt;
  return at;
}

}  // namespace vfiolab::preload
