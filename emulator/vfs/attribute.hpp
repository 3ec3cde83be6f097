// Files of bytes as sysfs has them, beside the lines of text that TextFile shows.
#pragma once
#include "vfs/node.hpp"

namespace vfiolab {

// A binary attribute of fixed size (fs/sysfs/file.c sysfs_kf_bin_read, sysfs_kf_bin_write). What it
// calls must live as long as any file opened through it.
class BinaryFile final : public FileNode {
 public:
  struct Operations {
    // Both get a range inside the file that is not empty and return the number of bytes moved. One
    // that is absent answers EIO, as the kernel does of files that can only be mapped.
    std::function<Result<long>(std::span<std::byte> to, u64 offset)> read;
    std::function<Result<long>(std::span<const std::byte> from, u64 offset)> write;
  };

  // `size` is not 0. `name` is for the trace.
  BinaryFile(std::string name, u64 size, mode_t permissions, Operations operations);
  mode_t mode() const override { return S_IFREG | permissions_; }
  u64 size() const override { return size_; }
  // EACCES when `flags` ask for what no permission bit grants: to root too.
  Reply Open(CallContext&, int flags) override;

 private:
  std::string name_;
  u64 size_;
  mode_t permissions_;
  std::shared_ptr<const Operations> operations_;
};

}  // namespace vfiolab
