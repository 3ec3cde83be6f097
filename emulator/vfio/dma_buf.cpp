// Parts of a BAR as a dma-buf: a descriptor that stands for them (vfio_pci_dmabuf.c). No other
// driver of this machine takes one, so that it can be asked for its size and handed around, and
// that is all.
#include "vfio/device.hpp"

namespace vfiolab::vfio {
namespace {

// include/uapi/linux/vfio.h
struct DmaBufRequest {
  u32 region_index, open_flags, flags, nr_ranges;
};
struct DmaRange {
  u64 offset, length;
};

class DmaBuf final : public OpenFile {
 public:
  explicit DmaBuf(u64 size) : size_(size) {}
  std::string Name() const override { return "[dmabuf]"; }
  u64 size() const override { return size_; }
  bool takes_offsets() const override { return false; }
  bool can_transfer() const override { return false; }
  bool has_node() const override { return false; }
  bool can_poll() const override { return true; }
  // dma_buf_llseek(): tells the size, and moves to the beginning.
  Reply Seek(off_t offset, int whence) override {
    if ((whence != SEEK_SET && whence != SEEK_END) || offset != 0)
      return Fail(EINVAL, fmt::format("offset {}, whence {}", offset, whence));
    return whence == SEEK_END ? static_cast<long>(size_) : 0L;
  }
  Result<u64> Mmap(CallContext&, const MmapRequest&) override {
    return Fail(EINVAL, "the exporter has no mmap");
  }

 private:
  u64 size_;
};

// What the kernel would take with one allocation; more is ENOMEM.
constexpr u64 kMostRanges = 4_MiB / sizeof(DmaRange);

// The sum of their lengths.
Result<u64> CheckRanges(std::span<const DmaRange> ranges, const BarLayout& bar) {
  constexpr u64 kTooMuch = u64{1} << 63;
  u64 total = 0;
  for (const auto& [offset, length] : ranges) {
    if (length == 0 || offset % kPageSize != 0 || length % kPageSize != 0)
      return Fail(EINVAL, fmt::format("{:#x} + {:#x} is not made of pages", offset, length));
    if (__builtin_add_overflow(total, length, &total)) return Fail(EINVAL, "the lengths overflow");
  }
  if (total & kTooMuch) return Fail(EINVAL, "too much");
  for (const auto& [offset, length] : ranges) {
    u64 begin = 0, end = 0;
    if (__builtin_add_overflow(bar.address, offset, &begin) ||
        __builtin_add_overflow(begin, length, &end))
      return Fail(EOVERFLOW, fmt::format("{:#x} + {:#x} wraps", offset, length));
    if (end > bar.address + bar.size)
      return Fail(EINVAL, fmt::format("{:#x} + {:#x} of {:#x}", offset, length, bar.size));
  }
  return total;
}

}  // namespace

Reply DeviceFile::GetDmaBuf(const uapi::IoctlCall& call, u32 argsz) {
  if (argsz - sizeof(vfio_device_feature) < sizeof(DmaBufRequest))
    return Fail(EINVAL, fmt::format("argsz {} leaves no room for the request", argsz));
  const ClientAddress at = call.pointer() + sizeof(vfio_device_feature);
  const auto request = TRY(call.caller.memory().Load<DmaBufRequest>(at));
  if (request.nr_ranges == 0 || request.flags != 0)
    return Fail(EINVAL, fmt::format("{} ranges, flags {:#x}", request.nr_ranges, request.flags));
  const auto& bars = device_.slot().bars();
  if (request.region_index >= bars.size() || !bars[request.region_index])
    return Fail(ENODEV, fmt::format("no BAR{}", request.region_index));
  if (request.nr_ranges > kMostRanges)
    return Fail(ENOMEM, fmt::format("{} ranges", request.nr_ranges));
  std::vector<DmaRange> ranges(request.nr_ranges);
  TRY(call.caller.memory().Read(at + sizeof request, std::as_writable_bytes(std::span{ranges})));
  const BarLayout& bar = *bars[request.region_index];
  const u64 size = TRY(CheckRanges(ranges, bar));
  if (bar.io) return Fail(EINVAL, "ports cannot be reached by DMA");
  return Completion{.value = 0L,
                    .opened = std::make_shared<DmaBuf>(size),
                    .open_flags = static_cast<int>(request.open_flags)};
}

}  // namespace vfiolab::vfio
