// What a path names in an emulated tree.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "vfs/node.hpp"

namespace vfiolab::in_process {

struct Walked {
  std::shared_ptr<Node> node;
  std::string path;  // without links
};

// `path` begins at `root`. With `follow` a link at its end is followed, too. ENOENT, ENOTDIR,
// ELOOP.
Result<Walked> Walk(const std::shared_ptr<Directory>& root, std::string_view path, bool follow);

}  // namespace vfiolab::in_process
