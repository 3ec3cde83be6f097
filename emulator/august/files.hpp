// The descriptors of a group, of a device, and of one region of a device.
#pragma once
#include "august/device.hpp"
#include "uapi/revised_ioctls.hpp"

namespace vfiolab::august {

class GroupFile final : public OpenFile {
 public:
  explicit GroupFile(Group& group);
  ~GroupFile() override;

  Group& group() { return group_; }
  std::string Name() const override;
  bool can_transfer() const override { return false; }
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override;

  // For documentation checks.
  static uapi::NamedNumbers IoctlNumbers(const AugustPolicies& policies);

 private:
  using IoctlCall = uapi::IoctlCall;
  Reply GetFlags(const IoctlCall& call);
  Reply MapDma(const IoctlCall& call);
  Reply UnmapDma(const IoctlCall& call);
  Reply Bind(const IoctlCall& call);
  Reply Capture(const IoctlCall& call);
  Reply Release(const IoctlCall& call);
  Reply GetDeviceFd(const IoctlCall& call);

  struct Table;
  Group& group_;
};

class DeviceFile final : public OpenFile {
 public:
  DeviceFile(Device& device, Group& group) : device_(device), group_(group) {
    device_.Open(group_);
  }
  ~DeviceFile() override { device_.Close(group_); }

  Group& group() { return group_; }
  std::string Name() const override { return "[vfio-device " + device_.name() + "]"; }
  bool has_node() const override { return false; }
  bool can_transfer() const override { return segmented(); }
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override;
  Reply Read(CallContext& caller, std::span<std::byte> to, u64 offset) override {
    return device_.Read(caller, to, offset);
  }
  Reply Write(CallContext& caller, std::span<const std::byte> from, u64 offset) override {
    return device_.Write(caller, from, offset);
  }
  Reply Load(CallContext&, std::span<std::byte> to, u64 offset) override {
    return device_.Load(to, offset);
  }
  Reply Store(CallContext&, std::span<const std::byte> from, u64 offset) override {
    return device_.Store(from, offset);
  }
  Result<u64> Mmap(CallContext& caller, const MmapRequest& request) override;
  SharedMemory shared_memory() const override {
    return {device_.shared_memory_fd(), mapped_, true};
  }

  static uapi::NamedNumbers IoctlNumbers(const AugustPolicies& policies);

 private:
  using IoctlCall = uapi::IoctlCall;
  Reply GetInfo(const IoctlCall& call);
  Reply GetRegionInfo(const IoctlCall& call);
  Reply GetIrqInfo(const IoctlCall& call);
  Reply SetIrqEventfds(const IoctlCall& call);
  Reply UnmaskIrq(const IoctlCall& call);
  Reply Reset(const IoctlCall& call);
  Reply Inherit(const IoctlCall& call);
  Reply SetUiommu(const IoctlCall& call);
  Reply MapDma(const IoctlCall& call);
  Reply UnmapDma(const IoctlCall& call);
  Reply GetPciBarFd(const IoctlCall& call);
  Reply GetPciConfigFd(const IoctlCall& call);
  Reply GetMmioFd(const IoctlCall& call);
  Completion OpenRegion(u32 region);

  bool segmented() const {
    return group_.policies().regions == AugustPolicies::Regions::kSegmented;
  }

  struct Table;
  Device& device_;
  Group& group_;
  bool mapped_ = false;
};

// Begins at offset 0, whichever region it is.
class RegionFile final : public OpenFile {
 public:
  RegionFile(Device& device, Group& group, u32 region)
      : device_(device), group_(group), region_(region) {
    device_.Open(group_);
  }
  ~RegionFile() override { device_.Close(group_); }

  std::string Name() const override;
  bool has_node() const override { return false; }
  Reply Read(CallContext& caller, std::span<std::byte> to, u64 offset) override;
  Reply Write(CallContext& caller, std::span<const std::byte> from, u64 offset) override;
  Reply Load(CallContext&, std::span<std::byte> to, u64 offset) override {
    return device_.Load(to, offset);
  }
  Reply Store(CallContext&, std::span<const std::byte> from, u64 offset) override {
    return device_.Store(from, offset);
  }
  Result<u64> Mmap(CallContext& caller, const MmapRequest& request) override;
  SharedMemory shared_memory() const override {
    return {device_.shared_memory_fd(), mapped_, true};
  }

 private:
  Result<u64> InRegion(u64 offset) const;

  Device& device_;
  Group& group_;
  u32 region_;
  bool mapped_ = false;
};

}  // namespace vfiolab::august
