#include "support/bench.hpp"

namespace vfiolab::test {
namespace {

BarLayouts Layouts(const PciDevice& device, u64 base) {
  BarLayouts layouts;
  for (unsigned i = 0; i < layouts.size(); ++i) {
    const PciDevice::Bar* bar = device.bar(i);
    if (bar == nullptr) continue;
    const bool io = bar->spec.space == BarSpace::kIo;
    layouts[i] = BarLayout{.address = io ? 0xc000u + 0x100u * i : base + 16_MiB * i,
                           .size = bar->spec.size,
                           .io = io,
                           .wide = bar->spec.space == BarSpace::kMemory64,
                           .prefetchable = bar->spec.prefetchable};
  }
  return layouts;
}

}  // namespace

Iommu VtdIommu() {
  Iommu iommu;
  iommu.reserved = {{{0xfee00000, 0xfeefffff}, ReservedKind::kMsi}};
  return iommu;
}

Kernel KernelWith(std::string_view early_api, const AugustPolicies& policies) {
  Kernel kernel;
  kernel.early_api = *std::ranges::find(kEarlyApis, early_api, &EarlyApi::name);
  kernel.policies = policies;
  return kernel;
}

Bench::Bench(std::vector<Placed> devices, Iommu iommu, const Kernel& kernel,
             std::vector<PlacedPlatform> platform_devices)
    : machine(environment, trace, std::move(iommu), kernel), door(machine) {
  machine.AddBridge({0, 0, 0x1c, 0}, 1, 1);
  machine.AddBridge({0, 0, 0x1c, 1}, 2, 2);
  u64 base = 0xe0000000;
  for (Placed& placed : devices) {
    auto& device = machine.AddDevice(placed.bdf, *placed.model,
                                     Params(placed.model->params, placed.params), placed.driver);
    device.PlaceBars(Layouts(device.device(), base), false);
    base += 128_MiB;
    GroupOf(placed.group).Add(device);
  }
  for (const PlacedPlatform& placed : platform_devices) {
    auto& device = machine.AddPlatformDevice(
        placed.name, *placed.model, Params(placed.model->params, placed.params), placed.driver);
    device.set_has_reset(placed.has_reset);
    GroupOf(placed.group).Add(device);
  }
  interfaces = std::make_unique<Interfaces>(machine);
  interfaces->AddNodes(dev_vfio, dev);
  client.mm().Map(kArguments, kPageSize);
}

IommuGroup& Bench::GroupOf(unsigned id) {
  if (!machine.groups().contains(id)) machine.AddGroup(id);
  return machine.groups().at(id);
}

long Bench::Finish(Reply reply) {
  Must(!reply.deferred());
  Completion& done = reply.completion();
  if (!done.value) return -done.value.error().code;
  if (done.opened) return client.AddOpenFile(std::move(done.opened));
  return *done.value;
}

long Bench::OpenNode(const Directory& directory, const std::string& path, const std::string& name) {
  const auto node = std::dynamic_pointer_cast<FileNode>(directory.Lookup(name));
  if (!node) return -ENOENT;
  return Finish(door.Open(now, client, *node, path + name, 2));
}

long Bench::Open(const std::string& name) { return OpenNode(dev_vfio, "/dev/vfio/", name); }

long Bench::OpenInDev(const std::string& name) { return OpenNode(dev, "/dev/", name); }

long Bench::Ioctl(int fd, u32 command, u64 argument) {
  const auto file = client.file(fd);  // as a call holds its file
  return Finish(door.Ioctl(now, client, *file, command, argument));
}

long Bench::Read(int fd, u64 offset, std::span<std::byte> to) {
  return Finish(door.Read(now, client, *client.file(fd), to, offset));
}

long Bench::Write(int fd, u64 offset, std::span<const std::byte> from) {
  return Finish(door.Write(now, client, *client.file(fd), from, offset));
}

long Bench::Mmap(int fd, u64 offset, u64 length, bool shared) {
  const auto result = door.Mmap(now, client, *client.file(fd), {offset, length, shared});
  return result ? 0 : -result.error().code;
}

long Bench::BusLoad(int fd, u64 offset, std::span<std::byte> to) {
  return Finish(door.Load(now, client, *client.file(fd), to, offset));
}

long Bench::BusStore(int fd, u64 offset, std::span<const std::byte> from) {
  return Finish(door.Store(now, client, *client.file(fd), from, offset));
}

void Bench::Close(int fd) {
  if (auto file = client.Close(fd)) door.Release(now, std::move(file));
}

void Bench::Wait(Time duration) {
  now += duration;
  door.Tick(now);
}

void Bench::LookAtEventfds() {
  environment.LookAtEventfds([this](const auto& act) { door.Event(now, "eventfd", act); });
}

long Bench::SetContainer(int group, int container) {
  client.mm().Put(kArguments, container);
  return Ioctl(group, VFIO_GROUP_SET_CONTAINER, kArguments);
}

long Bench::GetDevice(int group, const std::string& name) {
  client.mm().Poke(kArguments, std::as_bytes(std::span{name.c_str(), name.size() + 1}));
  return Ioctl(group, VFIO_GROUP_GET_DEVICE_FD, kArguments);
}

Opened Bench::OpenDomain(unsigned group, u64 type) {
  const Opened opened{OpenContainer(), OpenGroup(group), -1};
  Must(SetContainer(opened.group, opened.container) == 0);
  Must(Ioctl(opened.container, VFIO_SET_IOMMU, type) == 0);
  return opened;
}

Opened Bench::OpenAll(Bdf bdf, unsigned group) {
  Opened opened = OpenDomain(group);
  opened.device = OpenDevice(opened.group, bdf);
  return opened;
}

long Bench::Map(int container, u64 iova, u64 vaddr, u64 size, u32 flags) {
  vfio_iommu_type1_dma_map map{sizeof map, flags, vaddr, iova, size};
  return Ioctl(container, VFIO_IOMMU_MAP_DMA, map);
}

long Bench::Unmap(int container, u64 iova, u64 size, u32 flags) {
  struct {
    u32 argsz, flags;
    u64 iova, size;
  } unmap{24, flags, iova, size};
  const long result = Ioctl(container, VFIO_IOMMU_UNMAP_DMA, unmap);
  return result == 0 ? static_cast<long>(unmap.size) : result;
}

long Bench::SetIrqs(int device, u32 index, u32 flags, u32 start, u32 count,
                    std::span<const std::byte> data) {
  const u32 header[] = {static_cast<u32>(20 + data.size()), flags, index, start, count};
  client.mm().Poke(kArguments, std::as_bytes(std::span{header}));
  client.mm().Poke(kArguments + sizeof header, data);
  return Ioctl(device, VFIO_DEVICE_SET_IRQS, kArguments);
}

long Bench::SetTriggers(int device, u32 index, u32 start, std::vector<int> fds) {
  return SetIrqs(device, index, VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER, start,
                 static_cast<u32>(fds.size()), std::as_bytes(std::span{fds}));
}

}  // namespace vfiolab::test
