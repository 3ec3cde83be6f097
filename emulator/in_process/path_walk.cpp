#include "in_process/path_walk.hpp"

#include <fmt/format.h>

#include <vector>

namespace vfiolab::in_process {
namespace {

constexpr int kMostLinks = 40;  // linux/namei.h MAXSYMLINKS

std::string Joined(const std::vector<std::string>& names) {
  std::string path;
  for (const std::string& name : names) path += "/" + name;
  return path.empty() ? "/" : path;
}

class Walker {
 public:
  explicit Walker(const std::shared_ptr<Directory>& root) : nodes_{root} {}

  Result<> Go(std::string_view path, bool follow) {
    if (path.starts_with('/')) names_.clear(), nodes_.resize(1);
    while (!path.empty()) {
      const std::size_t slash = path.find('/');
      const std::string_view name = path.substr(0, slash);
      path.remove_prefix(slash == path.npos ? path.size() : slash + 1);
      if (!name.empty()) TRY(Step(name, follow || slash != path.npos));
    }
    return {};
  }
  Walked Found() const { return {nodes_.back(), Joined(names_)}; }

 private:
  Result<> Step(std::string_view name, bool follow) {
    const auto* directory = dynamic_cast<const Directory*>(nodes_.back().get());
    if (directory == nullptr)
      return Fail(ENOTDIR, fmt::format("{} is no directory", Joined(names_)));
    if (name == ".") return {};
    if (name == "..") {
      if (!names_.empty()) names_.pop_back(), nodes_.pop_back();
      return {};
    }
    auto node = directory->Lookup(name);
    if (node == nullptr) return Fail(ENOENT, fmt::format("{} has no {}", Joined(names_), name));
    if (const auto* link = dynamic_cast<const Symlink*>(node.get()); link != nullptr && follow) {
      if (++links_ > kMostLinks) return Fail(ELOOP, "too many links");
      return Go(link->target(), true);
    }
    names_.emplace_back(name);
    nodes_.push_back(std::move(node));
    return {};
  }

  std::vector<std::string> names_;
  std::vector<std::shared_ptr<Node>> nodes_;  // one more: the root
  int links_ = 0;
};

}  // namespace

Result<Walked> Walk(const std::shared_ptr<Directory>& root, std::string_view path, bool follow) {
  if (path.empty()) return Fail(ENOENT, "an empty path");
  Walker walker(root);
  TRY(walker.Go(path, follow));
  return walker.Found();
}

}  // namespace vfiolab::in_process
