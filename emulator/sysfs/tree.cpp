#include "sysfs/tree.hpp"

namespace vfiolab::sysfs {
namespace {

std::string_view Parent(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view{} : path.substr(0, slash);
}

// Whether `directory` is `path` or lies above it.
bool Holds(std::string_view directory, std::string_view path) {
  return directory.empty() || path == directory ||
         (path.starts_with(directory) && path[directory.size()] == '/');
}

}  // namespace

std::string LinkText(std::string_view link, std::string_view target) {
  std::string text;
  std::string_view base = Parent(link);
  while (!Holds(base, Parent(target))) {
    text += "../";
    base = Parent(base);
  }
  return text.append(target.substr(base.empty() ? 0 : base.size() + 1));
}

void Tree::Line(const std::string& path, std::string value) {
  value += '\n';
  Text(path, [text = std::move(value)] { return text; });
}

void Tree::Text(const std::string& path, std::function<std::string()> show) {
  root_.Add(path, std::make_shared<TextFile>(std::move(show)));
}

void Tree::Writable(const std::string& path, TextFile::Show show, TextFile::Store store) {
  root_.Add(path, std::make_shared<TextFile>(std::move(show), std::move(store)));
}

void Tree::Remove(const std::string& path) {
  root_.Make(Parent(path)).Remove(path.substr(path.rfind('/') + 1));
}

void Tree::Link(const std::string& path, std::string_view target) {
  root_.Add(path, std::make_shared<Symlink>(LinkText(path, target)));
}

}  // namespace vfiolab::sysfs
