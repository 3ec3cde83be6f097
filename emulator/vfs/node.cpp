#include "vfs/node.hpp"

#include <fcntl.h>

#include <algorithm>

#include "base/check.hpp"

namespace vfiolab {
namespace {

class OpenText final : public OpenFile {
 public:
  OpenText(TextFile::Show show, TextFile::Store store)
      : show_(std::move(show)), store_(std::move(store)) {}
  std::string Name() const override { return "[text]"; }
  bool is_regular() const override { return true; }

  Reply Read(CallContext&, std::span<std::byte> to, u64 offset) override {
    // fs/seq_file.c seq_read_iter: where the last read did not end the text is made anew.
    if (offset == 0 || offset != end_) text_ = show_();
    const u64 from = std::min<u64>(offset, text_.size());
    const std::size_t count = std::min<std::size_t>(to.size(), text_.size() - from);
    std::memcpy(to.data(), text_.data() + from, count);
    end_ = offset + count;
    return static_cast<long>(count);
  }

  Reply Write(CallContext&, std::span<const std::byte> from, u64) override {
    if (from.empty()) return 0;
    from = from.first(std::min<std::size_t>(from.size(), kPageSize));
    return store_({reinterpret_cast<const char*>(from.data()), from.size()});
  }

 private:
  TextFile::Show show_;
  TextFile::Store store_;
  std::string text_;
  u64 end_ = 0;
};

}  // namespace

std::shared_ptr<Node> Directory::Lookup(std::string_view name) const {
  const auto it = entries_.find(name);
  return it == entries_.end() ? nullptr : it->second;
}

Directory& Directory::Make(std::string_view path) {
  Directory* at = this;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string name(path.substr(0, slash));
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
    if (name.empty()) continue;
    auto& entry = at->entries_[name];
    if (!entry) {
      entry = std::make_shared<Directory>();
      if (at->on_change_) at->on_change_(name);
    }
    at = dynamic_cast<Directory*>(entry.get());
    CHECK_OURS(at != nullptr);
  }
  return *at;
}

void Directory::Add(std::string_view path, std::shared_ptr<Node> node) {
  const std::size_t slash = path.rfind('/');
  Directory& parent = slash == std::string_view::npos ? *this : Make(path.substr(0, slash));
  const std::string name(path.substr(slash == std::string_view::npos ? 0 : slash + 1));
  CHECK_OURS(parent.entries_.emplace(name, std::move(node)).second);
  if (parent.on_change_) parent.on_change_(name);
}

void Directory::Remove(std::string_view name) {
  const auto it = entries_.find(name);
  if (it == entries_.end()) return;
  const auto gone = entries_.extract(it);
  if (on_change_) on_change_(gone.key());
}

Reply TextFile::Open(CallContext&, int flags) {
  // As kernfs answers, to root too.
  if ((flags & O_ACCMODE) != O_RDONLY && (permissions_ & 0222) == 0)
    return Fail(EACCES, "the file is read-only");
  if ((flags & O_ACCMODE) != O_WRONLY && (permissions_ & 0444) == 0)
    return Fail(EACCES, "the file is write-only");
  return Completion{0L, std::make_shared<OpenText>(show_, store_), {}};
}

Reply DeviceNode::Open(CallContext& caller, int) {
  Result<std::shared_ptr<OpenFile>> opened = open_(caller);
  if (!opened) return Failure{std::move(opened).error()};
  return Completion{0L, *std::move(opened), {}};
}

}  // namespace vfiolab
