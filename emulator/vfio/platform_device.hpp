// A device bound to vfio-platform and the files that open it (vfio_platform_common.c).
#pragma once
#include "machine/platform_regions.hpp"
#include "vfio/group.hpp"
#include "vfio/group_device.hpp"
#include "vfio/platform_irqs.hpp"

namespace vfiolab::vfio {

class BoundPlatformDevice final : public GroupDevice {
 public:
  explicit BoundPlatformDevice(PlatformSlot& slot) : slot_(slot) {}

  PlatformSlot& slot() { return slot_; }
  void Open();
  void Close();
  PlatformIrqs& irqs() { return *irqs_; }  // only while open

  // GroupDevice
  Result<bool> IsCalled(const std::string& name) override { return name == slot_.name(); }
  std::shared_ptr<OpenFile> MakeFile(std::shared_ptr<GroupFile> group) override;

 private:
  PlatformSlot& slot_;
  std::unique_ptr<PlatformIrqs> irqs_;
};

class PlatformDeviceFile final : public OpenFile {
 public:
  PlatformDeviceFile(BoundPlatformDevice& device, std::shared_ptr<GroupFile> group);
  ~PlatformDeviceFile() override;

  std::string Name() const override { return "[vfio-device " + device_.slot().name() + "]"; }
  bool has_node() const override { return false; }
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override;
  Reply Read(CallContext& caller, std::span<std::byte> to, u64 offset) override {
    return regions_.Read(caller, to, offset);
  }
  Reply Write(CallContext& caller, std::span<const std::byte> from, u64 offset) override {
    return regions_.Write(caller, from, offset);
  }
  Reply Load(CallContext&, std::span<std::byte> to, u64 offset) override {
    return regions_.Load(to, offset);
  }
  Reply Store(CallContext&, std::span<const std::byte> from, u64 offset) override {
    return regions_.Store(from, offset);
  }
  Result<u64> Mmap(CallContext& caller, const MmapRequest& request) override;
  SharedMemory shared_memory() const override {
    return {device_.slot().shared_memory_fd(), mapped_};
  }

  static std::vector<const char*> IoctlNames();

 private:
  Reply GetInfo(const uapi::IoctlCall& call);
  Reply GetRegionInfo(const uapi::IoctlCall& call);
  Reply GetIrqInfo(const uapi::IoctlCall& call) { return device_.irqs().GetInfo(call); }
  Reply SetIrqs(const uapi::IoctlCall& call) { return device_.irqs().Set(call); }
  Reply Reset(const uapi::IoctlCall& call);
  Reply Feature(const uapi::IoctlCall& call);

  struct Table;
  BoundPlatformDevice& device_;
  std::shared_ptr<GroupFile> group_;
  PlatformRegions regions_;
  bool mapped_ = false;
};

}  // namespace vfiolab::vfio
