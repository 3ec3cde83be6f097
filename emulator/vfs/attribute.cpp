#include "vfs/attribute.hpp"

#include <fcntl.h>

#include <algorithm>

#include "base/check.hpp"

namespace vfiolab {
namespace {

class OpenBinary final : public OpenFile {
 public:
  OpenBinary(std::string name, u64 size, std::shared_ptr<const BinaryFile::Operations> operations)
      : name_(std::move(name)), size_(size), operations_(std::move(operations)) {}
  std::string Name() const override { return name_; }
  bool is_regular() const override { return true; }

  Reply Read(CallContext&, std::span<std::byte> to, u64 offset) override {
    if (to.empty() || offset >= size_) return 0;
    if (!operations_->read) return Fail(EIO, "the file has no read");
    return operations_->read(to.first(Fit(to.size(), offset)), offset);
  }

  Reply Write(CallContext&, std::span<const std::byte> from, u64 offset) override {
    if (offset >= size_) return Fail(EFBIG, "beyond the end");
    if (from.empty()) return 0;
    if (!operations_->write) return Fail(EIO, "the file has no write");
    return operations_->write(from.first(Fit(from.size(), offset)), offset);
  }

 private:
  std::size_t Fit(std::size_t count, u64 offset) const {
    return std::min<u64>(count, size_ - offset);
  }

  std::string name_;
  u64 size_;
  std::shared_ptr<const BinaryFile::Operations> operations_;
};

}  // namespace

BinaryFile::BinaryFile(std::string name, u64 size, mode_t permissions, Operations operations)
    : name_(std::move(name)),
      size_(size),
      permissions_(permissions),
      operations_(std::make_shared<const Operations>(std::move(operations))) {
  CHECK_OURS(size_ != 0);
}

Reply BinaryFile::Open(CallContext&, int flags) {
  const int access = flags & O_ACCMODE;
  if (access != O_WRONLY && !(permissions_ & 0444)) return Fail(EACCES, "nobody may read it");
  if (access != O_RDONLY && !(permissions_ & 0222)) return Fail(EACCES, "nobody may write it");
  return Completion{0L, std::make_shared<OpenBinary>(name_, size_, operations_), {}};
}

}  // namespace vfiolab
