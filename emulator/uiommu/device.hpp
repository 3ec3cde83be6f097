// /dev/vfioN: a function that is bound to "vfio" (drivers/vfio/vfio_main.c of 2010 and 2011).
#pragma once
#include <memory>

#include "early/function.hpp"
#include "early/regions.hpp"
#include "uapi/revised_ioctls.hpp"
#include "uiommu/domain.hpp"
#include "uiommu/event_channel.hpp"
#include "uiommu/revision.hpp"

namespace vfiolab::uiommu {

class DeviceFile;

// What the kernel keeps of a function while it is bound. The first file enables it, the last one
// that goes disables it.
class Device final {
 public:
  Device(DeviceSlot& slot, const Revision& revision, EventChannel& events)
      : revision_(revision),
        events_(events),
        function_(slot, revision.restores_state,
                  [](DeviceSlot& of, std::function<bool()> disabled) {
                    return std::make_unique<early::Irqs>(of, std::move(disabled));
                  }) {}

  DeviceSlot& slot() { return function_.slot(); }
  early::Function& function() { return function_; }
  early::Irqs& irqs() { return static_cast<early::Irqs&>(function_.interrupts()); }
  const Revision& revision() const { return revision_; }
  Listeners& listeners() { return listeners_; }

  // A file of the device is closed.
  void Close();
  // `done` runs, and this may be destroyed, when the last file is closed, perhaps at once.
  void GiveBack(std::function<void()> done);
  bool wanted_back() const { return given_back_ != nullptr; }
  // For the last file, when it has let go of all else.
  void FinishGivingBack();

  // Null while it is in none.
  const std::shared_ptr<Domain>& domain() const { return domain_; }
  // EBUSY: it is in one. EINVAL: interrupts are not isolated, and need to be; the domain is
  // another's.
  Result<> Enter(std::shared_ptr<Domain> domain, CallContext& caller);
  // EBUSY: files of the device have mappings of their own.
  Result<> Leave();

  // Those that are open. Removes what they have mapped there, of this process's memory.
  void AddFile(DeviceFile& file) { files_.push_back(&file); }
  void RemoveFile(DeviceFile& file) { std::erase(files_, &file); }
  void OnUnmap(const AddressSpace& space, ClientAddress from, u64 size);

  // The mappings that were made through files of the device, where they belong to these.
  unsigned mappings_of_files = 0;
  u64 locked_pages_of_files = 0;
  u64 locked_pages() const;

 private:
  void Detach();

  const Revision& revision_;
  EventChannel& events_;
  Listeners listeners_;
  early::Function function_;
  std::vector<DeviceFile*> files_;
  std::function<void()> given_back_;
  std::shared_ptr<Domain> domain_;
};

// struct vfio_dma_map of all these revisions.
struct DmaMap {
  u64 address;
  u64 iova;
  u64 size;
  u64 flags;
};
inline constexpr u64 kDmaMapWrite = 1;

class DeviceFile final : public OpenFile {
 public:
  DeviceFile(Device& device, std::string name);
  ~DeviceFile() override;

  // Whole mappings go, whichever part of them the process unmaps.
  void OnUnmap(const AddressSpace& space, ClientAddress from, u64 size);

  std::string Name() const override { return name_; }
  Reply Ioctl(CallContext& caller, u32 command, u64 argument) override;
  Reply Read(CallContext& caller, std::span<std::byte> to, u64 offset) override;
  Reply Write(CallContext& caller, std::span<const std::byte> from, u64 offset) override;
  Reply Load(CallContext&, std::span<std::byte> to, u64 offset) override {
    return regions_.Load(to, offset);
  }
  Reply Store(CallContext&, std::span<const std::byte> from, u64 offset) override {
    return regions_.Store(from, offset);
  }
  Result<u64> Mmap(CallContext& caller, const MmapRequest& request) override;
  SharedMemory shared_memory() const override {
    return {device_.slot().shared_memory_fd(), mapped_, true};
  }

  // The rows of the table of a revision, for documentation checks.
  static uapi::NamedNumbers IoctlNumbers(const Revision& revision);

 private:
  using IoctlCall = uapi::IoctlCall;
  Reply MapForFile(const IoctlCall& call);
  Reply UnmapForFile(const IoctlCall& call);
  Reply MapInDomain(const IoctlCall& call);
  Reply UnmapInDomain(const IoctlCall& call);
  Reply SetDomain(const IoctlCall& call);
  Reply UnsetDomain(const IoctlCall& call);
  Reply SetOrUnsetDomain(const IoctlCall& call);
  Reply SetIntx(const IoctlCall& call);
  Reply SetMsi(const IoctlCall& call);
  Reply SetMsix(const IoctlCall& call);
  Reply EndOfIntx(const IoctlCall& call);
  Reply SetEndOfIntx(const IoctlCall& call);
  Reply GetBarLength(const IoctlCall& call);
  Reply GetBarLength32(const IoctlCall& call);
  Reply Reset(const IoctlCall& call);

  Result<> MapOwn(const DmaMap& map, const std::shared_ptr<AddressSpace>& space, bool pinned);
  void UnmapOwn(std::size_t index);
  Result<u64> BarLength(u32 bar) const;

  // Of a write or a mapping that can be written.
  bool MeetsMsixTable(u64 offset, u64 count) const;
  Result<> CheckInDomain() const;

  struct Table;
  // One that was made through this file, where they belong to files.
  struct OwnMapping {
    u64 address;
    u64 pages;
    u64 iova;
    std::shared_ptr<Domain> domain;
  };

  Device& device_;
  std::string name_;
  early::Regions regions_;
  bool mapped_ = false;
  std::shared_ptr<AddressSpace> mapper_;  // the only one who can map through this file
  std::vector<OwnMapping> own_;
};

}  // namespace vfiolab::uiommu
