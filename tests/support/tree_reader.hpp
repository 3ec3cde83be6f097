// Looks into a tree of nodes as a program looks into a file system.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "vfs/node.hpp"

namespace vfiolab::test {

struct Found {
  std::shared_ptr<Node> node;  // null when the path leads nowhere, or out of the tree
  std::string path;            // without links
};

// Follows `path` from `root`; the last component too where `follow_last`.
Found Resolve(const Directory& root, std::string_view path, bool follow_last = true);

// The text of the file that `path` leads to; "(none)" where there is no file.
std::string TextAt(const Directory& root, std::string_view path);

// The text of the link at `path`; "(none)" where there is no link.
std::string LinkAt(const Directory& root, std::string_view path);

// The names in the directory that `path` leads to.
std::vector<std::string> NamesAt(const Directory& root, std::string_view path);

// The paths of all nodes below `root`, links not followed.
std::vector<std::string> AllPaths(const Directory& root);

// What open(2) of the file at `path` with `flags` gives.
Reply OpenAt(const Directory& root, std::string_view path, int flags);

}  // namespace vfiolab::test
