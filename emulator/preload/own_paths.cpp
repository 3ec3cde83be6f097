#include "preload/own_paths.hpp"

#include <algorithm>
#include <array>
#include <vector>

namespace vfiolab::preload {
namespace {

// As launcher/view.cpp has them: every other directory of the tree takes the host's place.
constexpr std::array<std::string_view, 8> kShared{
    "/dev",        "/sys",       "/sys/bus", "/sys/class", "/sys/devices", "/sys/devices/virtual",
    "/sys/kernel", "/sys/module"};

bool IsShared(std::string_view path) { return std::ranges::count(kShared, path) != 0; }

// What of the host is not on the emulated one.
bool IsHidden(std::string_view path) {
  return path.starts_with("/sys/devices/pci") || path.starts_with("/dev/vfio") ||
         path == "/dev/iommu" || path == "/dev/uiommu";
}

// Null where nothing is there.
std::shared_ptr<Node> Lookup(const Directory& root, std::string_view path) {
  const Directory* directory = &root;
  std::shared_ptr<Node> node;
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::size_t slash = std::min(path.find('/'), path.size());
    node = directory == nullptr ? nullptr : directory->Lookup(path.substr(0, slash));
    if (node == nullptr) return nullptr;
    directory = dynamic_cast<const Directory*>(node.get());
    path.remove_prefix(slash);
  }
  return node;
}

}  // namespace

Whose WhoseIs(const Directory& root, std::string_view path) {
  const Directory* directory = &root;
  for (std::size_t end = 0; end < path.size();) {
    const std::size_t next = std::min(path.find('/', end + 1), path.size());
    const std::string_view name = path.substr(end + 1, next - end - 1);
    end = next;
    const std::string_view so_far = path.substr(0, end);
    const auto node = directory->Lookup(name);
    if (node == nullptr) return IsHidden(so_far) ? Whose::kOwn : Whose::kHost;
    if (!IsShared(so_far)) return Whose::kOwn;
    directory = dynamic_cast<const Directory*>(node.get());
    if (directory == nullptr) return Whose::kOwn;
  }
  return Whose::kShared;
}

std::optional<std::string> OwnPath(const Directory& root, std::string_view path) {
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
    if (WhoseIs(root, next) == Whose::kHost) return std::nullopt;
    const auto node = left.empty() ? nullptr : Lookup(root, next);
    if (const auto* link = dynamic_cast<const Symlink*>(node.get())) {
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
