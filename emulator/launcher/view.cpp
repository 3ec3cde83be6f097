#include "launcher/view.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "base/trace.hpp"
#include "base/unique_fd.hpp"
#include "emulated_host/host_paths.hpp"

namespace vfiolab::launcher {
namespace {

const dev_t kPtmx = makedev(5, 2);
// Where a client has the nodes that are not below /dev/vfio.
constexpr std::string_view kNodes = ".vfiolab";

Failure<Error> FailErrno(const std::string& what) {
  const int code = errno;
  return Fail(code, fmt::format("{}: {}", what, ErrnoName(code)));
}

std::set<std::string> Names(const std::string& directory) {
  std::set<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), &::closedir);
  while (const dirent* entry = dir ? ::readdir(dir.get()) : nullptr)
    if (const std::string name = entry->d_name; name != "." && name != "..") names.insert(name);
  return names;
}

bool IsDirectory(const std::string& path) {
  struct stat found {};
  return ::stat(path.c_str(), &found) == 0 && S_ISDIR(found.st_mode);
}

Result<> Bind(const std::string& from, const std::string& to) {
  if (::mount(from.c_str(), to.c_str(), nullptr, MS_BIND | MS_REC, nullptr) != 0)
    return FailErrno(fmt::format("bind {} to {}", from, to));
  return {};
}

// Shows what `from` is at `to`, which does not exist yet in a file system of ours.
Result<> Show(const std::string& from, const std::string& to) {
  struct stat found {};
  if (::lstat(from.c_str(), &found) != 0) return {};  // gone meanwhile
  if (S_ISLNK(found.st_mode)) {
    std::array<char, 4096> target{};
    const ssize_t length = ::readlink(from.c_str(), target.data(), target.size() - 1);
    if (length < 0 || ::symlink(target.data(), to.c_str()) != 0) return FailErrno("symlink " + to);
    return {};
  }
  // The multiplexer of terminals looks for pts/ beside itself and does not find it from a bind.
  if (S_ISCHR(found.st_mode) && found.st_rdev == kPtmx) {
    if (::mknod(to.c_str(), found.st_mode, kPtmx) == 0)
      return ::chmod(to.c_str(), found.st_mode & 07777) == 0 ? Result<>{}
                                                             : FailErrno("chmod " + to);
    // In a user namespace: what devpts itself has may be open to us.
    if (::symlink("pts/ptmx", to.c_str()) == 0) return {};
  }
  if (S_ISDIR(found.st_mode)) {
    if (::mkdir(to.c_str(), found.st_mode & 07777) != 0) return FailErrno("mkdir " + to);
  } else {
    const UniqueFd file(::open(to.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    if (!file) return FailErrno("create " + to);
  }
  return Bind(from, to);
}

// Replaces `directory` by one with the host's entries, but for those that `hide` names, and with
// ours: name to source. What is mounted below the host's entries stays.
Result<> Rebuild(const std::string& directory, const std::map<std::string, std::string>& ours,
                 const std::function<bool(const std::string&)>& hide) {
  const UniqueFd host(::open(directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!host) return FailErrno("open " + directory);
  const auto names = Names(directory);
  if (::mount("vfiolab", directory.c_str(), "tmpfs", MS_NOSUID, "mode=0755,size=16m") != 0)
    return FailErrno("tmpfs on " + directory);
  for (const std::string& name : names)
    if (!ours.contains(name) && !hide(name))
      TRY(Show(fmt::format("/proc/self/fd/{}/{}", host.get(), name), directory + "/" + name));
  for (const auto& [name, source] : ours) TRY(Show(source, directory + "/" + name));
  return {};
}

Result<> Merge(const std::string& tree, const std::string& path) {
  const auto host = Names(path);
  std::map<std::string, std::string> ours;
  bool rebuild = false;
  for (const std::string& name : Names(tree + path)) {
    const std::string child = path + "/" + name;
    if (IsSharedDirectory(child)) {
      if (!host.contains(name)) return Fail(ENOENT, child + " is missing on this host");
      continue;
    }
    ours.emplace(name, tree + child);
    rebuild |= !host.contains(name);
  }
  for (const std::string& name : host) rebuild |= IsHiddenOfHost(path + "/" + name);
  if (rebuild) {
    TRY(Rebuild(path, ours,
                [&](const std::string& name) { return IsHiddenOfHost(path + "/" + name); }));
  } else {
    for (const auto& [name, source] : ours) TRY(Bind(source, path + "/" + name));
  }
  for (const std::string& name : Names(tree + path))
    if (IsSharedDirectory(path + "/" + name)) TRY(Merge(tree, path + "/" + name));
  return {};
}

Result<> WriteFile(const char* path, const std::string& text) {
  const UniqueFd file(::open(path, O_WRONLY | O_CLOEXEC));
  if (!file || ::write(file.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return FailErrno(path);
  return {};
}

}  // namespace

Result<> EnterPrivateNamespace() {
  const uid_t uid = ::geteuid();
  const gid_t gid = ::getegid();
  if (::unshare(CLONE_NEWNS) != 0) {
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
      return Fail(EPERM,
                  "a private view of /dev and /sys takes CAP_SYS_ADMIN or user namespaces "
                  "(sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone); without "
                  "them `vfiolab serve` with fusermount3 still works");
    TRY(WriteFile("/proc/self/setgroups", "deny"));
    TRY(WriteFile("/proc/self/uid_map", fmt::format("{0} {0} 1", uid)));
    TRY(WriteFile("/proc/self/gid_map", fmt::format("{0} {0} 1", gid)));
  }
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) {
    if (errno == EINVAL)
      return Fail(EINVAL,
                  "/ is not a mount point, as in a plain chroot: mount --rbind the new root "
                  "on itself before chroot");
    return FailErrno("make / private");
  }
  return {};
}

Result<std::string> StagingDirectory() {
  for (const char* path : {"/sys/fs/fuse/connections", "/mnt", "/media", "/srv"})
    if (IsDirectory(path)) return std::string(path);
  return Fail(ENOENT, "none of /sys/fs/fuse/connections, /mnt, /media and /srv exists");
}

// Nodes right below /dev come and go, and what is bound to such a name stays with the one that was
// there: links lead to all that there can be.
Result<> LinkNodes(const std::string& tree) {
  std::set<std::string> nodes = Names(tree + "/dev");
  nodes.erase("vfio");
  for (std::size_t i = Names(tree + "/sys/bus/pci/devices").size(); i-- > 0;)
    nodes.insert(fmt::format("vfio{}", i));
  for (const std::string& node : nodes)
    if (::symlink(fmt::format("{}/{}", kNodes, node).c_str(), ("/dev/" + node).c_str()) != 0)
      return FailErrno("symlink /dev/" + node);
  return {};
}

Result<> BuildView(const std::string& tree, bool hide_tree) {
  if (::unshare(CLONE_NEWNS) != 0) return FailErrno("unshare");
  std::map<std::string, std::string> ours{{"vfio", tree + "/dev/vfio"}};
  const bool has_nodes = Names(tree + "/dev").size() > 1;
  if (has_nodes) ours.emplace(kNodes, tree + "/dev");
  TRY(Rebuild("/dev", ours,
              [](const std::string& name) { return IsHiddenOfHost("/dev/" + name); }));
  if (has_nodes) TRY(LinkNodes(tree));
  TRY(Merge(tree, "/sys"));
  if (hide_tree && ::umount2(tree.c_str(), MNT_DETACH) != 0) return FailErrno("unmount " + tree);
  return {};
}

}  // namespace vfiolab::launcher
