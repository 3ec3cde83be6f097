// What paths of the emulated host name: attributes, links, directories.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>

#include "preload/turn.hpp"

namespace vfiolab::preload {

namespace fs = std::filesystem;

Result<in_process::Walked> Host::Find(const std::string& path, bool follow) {
  return in_process::Walk(process_.host().root(), path, follow);
}

// What /sys says of a node of /dev.
dev_t Host::NumberOf(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  for (const std::string& place : {"/sys/class/vfio/" + name, "/sys/class/misc/" + name,
                                   "/sys/devices/virtual/misc/" + name}) {
    const auto fd = process_.Open(place + "/dev", O_RDONLY);
    if (!fd) continue;
    char text[64] = {};
    const auto size = process_.Read(*fd, reinterpret_cast<u64>(text), sizeof text - 1);
    process_.Close(*fd).IgnoreError();
    unsigned first = 0, second = 0;
    if (size && std::sscanf(text, "%u:%u", &first, &second) == 2) return makedev(first, second);
  }
  constexpr unsigned kMisc = 10, kVfio = 196;  // linux/miscdevice.h
  return name == "vfio" ? makedev(kMisc, kVfio) : makedev(0, 0);
}

Result<struct stat> Host::StatNode(const in_process::Walked& found) {
  struct stat attributes {};
  attributes.st_mode = found.node->mode();
  attributes.st_size = static_cast<off_t>(found.node->size());
  attributes.st_nlink = S_ISDIR(attributes.st_mode) ? 2 : 1;
  attributes.st_uid = ::geteuid();
  attributes.st_gid = ::getegid();
  attributes.st_blksize = kPageSize;
  attributes.st_ino = reinterpret_cast<ino_t>(found.node.get());
  attributes.st_dev = makedev(0, 0xf0f0);
  if (const auto* device = dynamic_cast<const DeviceNode*>(found.node.get())) {
    attributes.st_uid = device->owner().user.value_or(attributes.st_uid);
    attributes.st_gid = device->owner().group.value_or(attributes.st_gid);
    attributes.st_mode = S_IFCHR | (attributes.st_mode & 07777);
    attributes.st_rdev = NumberOf(found.path);
  }
  return attributes;
}

Result<struct stat> Host::Stat(const std::string& path, bool follow) {
  const Turn turn(*this);
  CatchUp();
  return StatNode(TRY(Find(path, follow)));
}

Result<struct stat> Host::StatDescriptor(int fd) {
  const Turn turn(*this);
  TRY(Learn(fd));
  const auto directory = directories_.find(fd);
  const auto path = directory != directories_.end() ? directory->second : process_.PathOf(fd);
  if (path.starts_with('/')) return StatNode(TRY(Find(path, true)));
  // Opened by an ioctl: as an anonymous inode has it.
  struct stat attributes {};
  attributes.st_mode = 0600;
  attributes.st_nlink = 1;
  attributes.st_blksize = kPageSize;
  attributes.st_ino = 1;
  return attributes;
}

Result<std::string> Host::ReadLink(const std::string& path) {
  const Turn turn(*this);
  CatchUp();
  return process_.ReadLink(path);
}

Result<std::string> Host::RealPath(const std::string& path) {
  const Turn turn(*this);
  CatchUp();
  return TRY(Find(path, true)).path;
}

// What a name is does not matter to those who read it from the mirror: they ask here.
Result<std::string> Host::Mirror(const std::string& path) {
  const Turn turn(*this);
  CatchUp();
  const bool shared = WhoseIs(*process_.host().root(), path) == Whose::kShared;
  const in_process::Walked found = TRY(Find(path, true));
  const auto* directory = dynamic_cast<const Directory*>(found.node.get());
  if (directory == nullptr) return Fail(ENOTDIR, path + " is no directory");
  const std::string place = tree_ + found.path;
  std::error_code error;
  fs::create_directories(place, error);
  std::map<std::string, mode_t> wanted;
  if (shared)
    for (const auto& entry : fs::directory_iterator(found.path, error)) {
      const std::string name = entry.path().filename();
      if (WhoseIs(*process_.host().root(), found.path + "/" + name) == Whose::kHost)
        wanted[name] = entry.is_symlink() ? S_IFLNK : entry.is_directory() ? S_IFDIR : S_IFREG;
    }
  for (const auto& [name, node] : directory->entries()) wanted[name] = node->mode() & S_IFMT;
  for (const auto& entry : fs::directory_iterator(place, error))
    if (!wanted.contains(entry.path().filename())) fs::remove_all(entry.path(), error);
  for (const auto& [name, type] : wanted) {
    const std::string at = place + "/" + name;
    if (type == S_IFDIR)
      fs::create_directory(at, error);
    else if (type == S_IFLNK)
      fs::create_symlink("of the emulated host", at, error);
    else if (const int fd = ::open(at.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600); fd >= 0)
      ::close(fd);
  }
  return place;
}

bool Host::IsShared(const std::string& path) {
  const Turn turn(*this);
  return WhoseIs(*process_.host().root(), path) == Whose::kShared;
}

void Host::AddDirectory(int fd, std::string path) {
  const Turn turn(*this);
  directories_[fd] = std::move(path);
  if (static_cast<std::size_t>(fd) < kMostDescriptors)
    kind_of[static_cast<std::size_t>(fd)] = Kind::kDirectory;
}

void Host::SetWorkingDirectory(std::optional<std::string> path) {
  const Turn turn(*this);
  working_directory_ = std::move(path);
}

std::optional<std::string> Host::WorkingDirectory() {
  const Turn turn(*this);
  return working_directory_;
}

}  // namespace vfiolab::preload
