#include "uiommu/device.hpp"

#include <linux/pci_regs.h>

#include "early/dma.hpp"

namespace vfiolab::uiommu {

void Device::Close() {
  function_.Close();
  if (function_.open()) return;
  Detach();
  events_.OnClosed(*this);
}

void Device::GiveBack(std::function<void()> done) {
  given_back_ = std::move(done);
  if (!function_.open()) FinishGivingBack();
}

void Device::FinishGivingBack() {
  if (function_.open() || !given_back_) return;
  const auto done = std::move(given_back_);
  done();  // destroys this
}

Result<> Device::Enter(std::shared_ptr<Domain> domain, CallContext& caller) {
  std::shared_ptr<AddressSpace> who;
  // May wait for the client, and others come in between: nothing is looked at before.
  if (revision_.mappings_of_domain) who = TRY(caller.address_space());
  if (domain_ != nullptr) return Fail(EBUSY, "the device is in a domain");
  if (domain->owner() != nullptr && domain->owner() != who)
    return Fail(EINVAL, "the domain is another process's");
  Machine& machine = slot().machine();
  if (!machine.iommu().interrupt_isolation && machine.parameters().allow_unsafe_intrs == 0)
    return Fail(EINVAL, "interrupts are not remapped: allow_unsafe_intrs");
  domain_ = std::move(domain);
  domain_->Enter(std::move(who));
  slot().set_ioas(domain_->ioas());
  return {};
}

Result<> Device::Leave() {
  if (mappings_of_files > 0)
    return Fail(EBUSY, fmt::format("{} mappings are left", mappings_of_files));
  Detach();
  return {};
}

void Device::Detach() {
  if (domain_ == nullptr) return;
  slot().set_ioas(nullptr);
  domain_->Leave();
  domain_.reset();
}

void Device::OnUnmap(const AddressSpace& space, ClientAddress from, u64 size) {
  for (DeviceFile* file : files_) file->OnUnmap(space, from, size);
}

u64 Device::locked_pages() const {
  if (!revision_.mappings_of_domain) return locked_pages_of_files;
  return domain_ == nullptr ? 0 : early::LockedPages(*domain_->ioas());
}

DeviceFile::DeviceFile(Device& device, std::string name)
    : device_(device),
      name_(std::move(name)),
      regions_(device.slot(),
               {.shift = device.revision().region_shift,
                .number_mask = 15,
                .config = 15,
                .moves_in_units = device.revision().moves_in_units,
                .from_the_start = true,
                .rom_is_read_only = false},
               [&device]() -> early::Config& { return device.function().config(); }) {
  device_.function().Open();
  device_.AddFile(*this);
}

DeviceFile::~DeviceFile() {
  while (!own_.empty()) UnmapOwn(own_.size() - 1);
  device_.RemoveFile(*this);
  device_.Close();
  device_.FinishGivingBack();
}

Reply DeviceFile::SetDomain(const IoctlCall& call) {
  const int fd = TRY(call.caller.memory().Load<int>(call.pointer()));
  if (device_.domain() != nullptr) return Fail(EBUSY, "the device is in a domain");
  const auto file = TRY(call.caller.ImportOpenFile(fd));
  const auto* domain = dynamic_cast<const DomainFile*>(file.get());
  if (domain == nullptr) return Fail(EINVAL, fmt::format("descriptor {} is no uiommu", fd));
  TRY(device_.Enter(domain->domain(), call.caller));
  return 0;
}

Reply DeviceFile::UnsetDomain(const IoctlCall&) {
  TRY(device_.Leave());
  return 0;
}

Reply DeviceFile::SetOrUnsetDomain(const IoctlCall& call) {
  const int fd = TRY(call.caller.memory().Load<int>(call.pointer()));
  return fd < 0 ? UnsetDomain(call) : SetDomain(call);
}

Result<> DeviceFile::CheckInDomain() const {
  if (device_.domain() == nullptr) return Fail(EINVAL, "the device is in no domain");
  return {};
}

// It compared the file's offset, so that it looked after the table in BAR0, wherever that was.
bool DeviceFile::MeetsMsixTable(u64 offset, u64 count) const {
  const auto [region, at] = regions_.PlaceOf(offset);
  const PciIdentity& identity = device_.slot().device().identity();
  if (device_.slot().machine().parameters().allow_unsafe_intrs == 0 || region != 0 ||
      identity.msix_vectors == 0)
    return false;
  const u64 begin = identity.msix_table_offset & ~(kPageSize - 1);
  const u64 size = u64{identity.msix_vectors} * PCI_MSIX_ENTRY_SIZE;
  const u64 end = (identity.msix_table_offset + size + kPageSize - 1) & ~(kPageSize - 1);
  return at < end && at + count > begin;
}

Reply DeviceFile::Read(CallContext& caller, std::span<std::byte> to, u64 offset) {
  if (!regions_.IsConfig(offset)) TRY(CheckInDomain());
  return regions_.Read(caller, to, offset);
}

Reply DeviceFile::Write(CallContext& caller, std::span<const std::byte> from, u64 offset) {
  TRY(CheckInDomain());
  if (MeetsMsixTable(offset, from.size())) return Fail(EINVAL, "a page of the MSI-X table");
  return regions_.Write(caller, from, offset);
}

Result<u64> DeviceFile::Mmap(CallContext& caller, const MmapRequest& request) {
  TRY(CheckInDomain());
  if (request.writes && MeetsMsixTable(request.offset, request.length))
    return Fail(EINVAL, "a page of the MSI-X table");
  const u64 begins = TRY(regions_.Mmap(caller, request));
  mapped_ = true;
  return begins;
}

Result<u64> DeviceFile::BarLength(u32 bar) const {
  if (bar > early::Regions::kRom) return Fail(EINVAL, fmt::format("no BAR{}", bar));
  return regions_.Size(bar);
}

Reply DeviceFile::GetBarLength(const IoctlCall& call) {
  const u64 bar = TRY(call.caller.memory().Load<u64>(call.pointer()));
  if (bar > ~u32{0}) return Fail(EINVAL, fmt::format("no BAR{}", bar));
  const u64 length = TRY(BarLength(static_cast<u32>(bar)));
  TRY(call.caller.memory().Store(call.pointer(), length));
  return 0;
}

Reply DeviceFile::GetBarLength32(const IoctlCall& call) {
  const u32 bar = TRY(call.caller.memory().Load<u32>(call.pointer()));
  const u64 length = TRY(BarLength(bar));
  TRY(call.caller.memory().Store(call.pointer(), static_cast<u32>(length)));
  return 0;
}

Reply DeviceFile::Reset(const IoctlCall&) {
  if (device_.revision().no_reset_while_removed && device_.wanted_back())
    return Fail(EBUSY, "the device is being removed");
  if (!device_.slot().CanReset()) return Fail(ENOTTY, "the function has no reset of its own");
  device_.slot().ResetFunction();
  return 0;
}

}  // namespace vfiolab::uiommu
