#include "support/tree_reader.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <deque>

#include "support/fake_client.hpp"

namespace vfiolab::test {
namespace {

std::vector<std::string> Split(std::string_view path) {
  std::vector<std::string> names;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    if (slash > 0) names.emplace_back(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return names;
}

std::string Join(const std::vector<std::string>& names) {
  std::string path;
  for (const std::string& name : names) path += (path.empty() ? "" : "/") + name;
  return path;
}

// A walk stands at a directory, or at a file where it ends.
struct Walk {
  const Directory& root;
  std::vector<std::string> names;
  std::vector<std::shared_ptr<Node>> nodes;

  const Directory* here() const {
    return nodes.empty() ? &root : dynamic_cast<const Directory*>(nodes.back().get());
  }
};

void Collect(const Directory& directory, const std::string& prefix, std::vector<std::string>& to) {
  for (const auto& [name, node] : directory.entries()) {
    to.push_back(prefix + name);
    if (const auto* below = dynamic_cast<const Directory*>(node.get()))
      Collect(*below, prefix + name + "/", to);
  }
}

}  // namespace

Found Resolve(const Directory& root, std::string_view path, bool follow_last) {
  Walk walk{root, {}, {}};
  const auto parts = Split(path);
  std::deque<std::string> left(parts.begin(), parts.end());
  for (int steps = 0; !left.empty(); ++steps) {
    const std::string name = left.front();
    left.pop_front();
    if (name == ".." && !walk.nodes.empty()) {
      walk.names.pop_back();
      walk.nodes.pop_back();
      continue;
    }
    const Directory* here = walk.here();
    const auto next = here != nullptr && name != ".." ? here->Lookup(name) : nullptr;
    if (next == nullptr || steps > 1000) return {};
    const auto* link = dynamic_cast<const Symlink*>(next.get());
    if (link != nullptr && (follow_last || !left.empty())) {
      const auto target = Split(link->target());
      left.insert(left.begin(), target.begin(), target.end());
    } else {
      walk.names.push_back(name);
      walk.nodes.push_back(next);
    }
  }
  return {walk.nodes.empty() ? nullptr : walk.nodes.back(), Join(walk.names)};
}

Reply OpenAt(const Directory& root, std::string_view path, int flags) {
  const auto file = std::dynamic_pointer_cast<FileNode>(Resolve(root, path).node);
  if (file == nullptr) return Fail(ENOENT, std::string(path));
  FakeClient client;
  return file->Open(client, flags);
}

std::string TextAt(const Directory& root, std::string_view path) {
  Reply opened = OpenAt(root, path, O_RDONLY);
  if (!opened.completion().value) return "(none)";
  FakeClient client;
  std::string text;
  std::array<std::byte, 1024> part;
  for (;;) {
    Reply read = opened.completion().opened->Read(client, part, text.size());
    if (!read.completion().value) return "(error)";
    const auto count = static_cast<std::size_t>(*read.completion().value);
    if (count == 0) return text;
    text.append(reinterpret_cast<const char*>(part.data()), count);
  }
}

std::string LinkAt(const Directory& root, std::string_view path) {
  const auto link = std::dynamic_pointer_cast<Symlink>(Resolve(root, path, false).node);
  return link == nullptr ? "(none)" : link->target();
}

std::vector<std::string> NamesAt(const Directory& root, std::string_view path) {
  std::vector<std::string> names;
  const auto directory = std::dynamic_pointer_cast<Directory>(Resolve(root, path).node);
  if (directory == nullptr) return names;
  for (const auto& [name, node] : directory->entries()) names.push_back(name);
  return names;
}

std::vector<std::string> AllPaths(const Directory& root) {
  std::vector<std::string> paths;
  Collect(root, "", paths);
  return paths;
}

}  // namespace vfiolab::test
