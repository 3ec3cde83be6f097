// Puts attributes and links into a directory that stands for /sys.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "vfs/node.hpp"

namespace vfiolab::sysfs {

// The text of a link at `link` to `target`, both paths below the same root. Like the kernel's it
// goes up to the directory in which both lie, and no further (fs/kernfs/symlink.c).
std::string LinkText(std::string_view link, std::string_view target);

// Paths are relative to the root and have no "." or "..". None may be taken already.
class Tree {
 public:
  explicit Tree(Directory& root) : root_(root) {}

  // A file that holds `value` and a newline, always.
  void Line(const std::string& path, std::string value);
  // A file whose whole text is made when it is read.
  void Text(const std::string& path, std::function<std::string()> show);
  // A file that takes text; without `show` it cannot be read.
  void Writable(const std::string& path, TextFile::Show show, TextFile::Store store);
  void Link(const std::string& path, std::string_view target);
  void File(const std::string& path, std::shared_ptr<FileNode> file) {
    root_.Add(path, std::move(file));
  }
  // A directory that may stay empty.
  void MakeDirectory(const std::string& path) { root_.Make(path); }
  // One that will be removed some day.
  void MakeFleeting(const std::string& path) { root_.Make(path).set_fleeting(); }
  // With all that lies below.
  void Remove(const std::string& path);

 private:
  Directory& root_;
};

}  // namespace vfiolab::sysfs
