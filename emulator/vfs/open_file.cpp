#include "vfs/open_file.hpp"

namespace vfiolab {

Reply OpenFile::Ioctl(CallContext&, u32, u64) { return Fail(ENOTTY, "the file has no ioctls"); }

Reply OpenFile::Seek(off_t, int) { return Fail(ESPIPE, "the file has no position"); }

Reply OpenFile::Read(CallContext&, std::span<std::byte>, u64) {
  return Fail(EINVAL, "the file cannot be read");
}

Reply OpenFile::Write(CallContext&, std::span<const std::byte>, u64) {
  return Fail(EINVAL, "the file cannot be written");
}

Reply OpenFile::Load(CallContext&, std::span<std::byte>, u64) {
  return Fail(EIO, "the file cannot be mapped");
}

Reply OpenFile::Store(CallContext&, std::span<const std::byte>, u64) {
  return Fail(EIO, "the file cannot be mapped");
}

Result<u64> OpenFile::Mmap(CallContext&, const MmapRequest&) {
  return Fail(ENODEV, "the file cannot be mapped");
}

}  // namespace vfiolab
