// What a path names: directories, symbolic links, and files that can be opened.
#pragma once
#include <sys/stat.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "vfs/open_file.hpp"

namespace vfiolab {

class Node {
 public:
  virtual ~Node() = default;
  virtual mode_t mode() const = 0;  // type and permissions
  virtual u64 size() const { return 0; }
  // Whether the name that leads here will go on doing so, as long as its directory is there: then
  // it may be remembered. Links may go at any time.
  virtual bool lasting() const { return true; }
};

class Directory final : public Node {
 public:
  using Entries = std::map<std::string, std::shared_ptr<Node>, std::less<>>;

  mode_t mode() const override { return S_IFDIR | 0755; }
  bool lasting() const override { return lasting_; }
  // For one that will be removed some day.
  void set_fleeting() { lasting_ = false; }
  const Entries& entries() const { return entries_; }
  std::shared_ptr<Node> Lookup(std::string_view name) const;

  // The directory `path` ("a/b/c") below this one, made where it is missing.
  Directory& Make(std::string_view path);
  // Puts `node` at `path`; the directories on the way are made.
  void Add(std::string_view path, std::shared_ptr<Node> node);
  // Takes the entry `name` of this directory away, if it is there.
  void Remove(std::string_view name);
  // `f` is called, with its name, after an entry of this directory has come or gone.
  void set_on_change(std::function<void(const std::string& name)> f) { on_change_ = std::move(f); }

 private:
  Entries entries_;
  std::function<void(const std::string&)> on_change_;
  bool lasting_ = true;
};

class Symlink final : public Node {
 public:
  explicit Symlink(std::string target) : target_(std::move(target)) {}
  mode_t mode() const override { return S_IFLNK | 0777; }
  u64 size() const override { return target_.size(); }
  bool lasting() const override { return false; }
  const std::string& target() const { return target_; }

 private:
  std::string target_;
};

// Something to open. Each Open() makes one open file description.
class FileNode : public Node {
 public:
  virtual Reply Open(CallContext&, int flags) = 0;
};

// An attribute as sysfs shows it: text made anew when a reader starts at offset 0, and taken with
// each write that is not empty, wherever the writer is in the file (fs/sysfs/file.c).
class TextFile final : public FileNode {
 public:
  using Show = std::function<std::string()>;
  // What the write returns: the number of bytes taken.
  using Store = std::function<Reply(std::string_view)>;

  explicit TextFile(Show show, mode_t permissions = 0444)
      : show_(std::move(show)), permissions_(permissions) {}
  // One that can be written: `show` null makes it a file that only can be written.
  TextFile(Show show, Store store)
      : show_(std::move(show)), store_(std::move(store)), permissions_(show_ ? 0644 : 0200) {}
  mode_t mode() const override { return S_IFREG | permissions_; }
  u64 size() const override { return kPageSize; }  // as sysfs says of every attribute
  Reply Open(CallContext&, int flags) override;

 private:
  Show show_;
  Store store_;
  mode_t permissions_;
};

// A character device of the emulated kernel.
class DeviceNode final : public FileNode {
 public:
  using Opener = std::function<Result<std::shared_ptr<OpenFile>>(CallContext&)>;
  DeviceNode(mode_t permissions, Opener open, u64 size = 0)
      : permissions_(permissions), open_(std::move(open)), size_(size) {}
  // A regular file to the host's kernel: of a character device it would open its own driver.
  mode_t mode() const override { return S_IFREG | permissions_; }
  u64 size() const override { return size_; }
  bool lasting() const override { return false; }
  Reply Open(CallContext&, int flags) override;

  // What chmod and chown have made of it; no owner: that of the file system.
  void set_permissions(mode_t permissions) { permissions_ = permissions; }
  struct Owner {
    std::optional<uid_t> user;
    std::optional<gid_t> group;
  };
  Owner& owner() { return owner_; }
  const Owner& owner() const { return owner_; }

  // The device's number, where a transport has made it one that the host's kernel knows.
  const std::optional<dev_t>& number() const { return number_; }
  void set_number(dev_t number) { number_ = number; }

 private:
  mode_t permissions_;
  Owner owner_;
  Opener open_;
  u64 size_;
  std::optional<dev_t> number_;
};

}  // namespace vfiolab
