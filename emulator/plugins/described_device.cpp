#include "plugins/described_device.hpp"

namespace vfiolab::plugins {
namespace {

PciIdentity IdentityOf(const vfiolab_model& model) {
  return {.vendor_id = model.vendor_id,
          .device_id = model.device_id,
          .subsystem_vendor_id = model.subsystem_vendor_id,
          .subsystem_id = model.subsystem_id,
          .revision = model.revision,
          .class_code = model.class_code,
          .interrupt_pin = model.interrupt_pin,
          .msi_vectors = model.msi_vectors,
          .msix_vectors = model.msix_vectors,
          .msix_bar = model.msix_bar,
          .express = model.express != 0};
}

BarSpec SpecOf(const vfiolab_bar& bar) {
  const auto has = [&](u32 flag) { return (bar.flags & flag) != 0; };
  return {.size = bar.size,
          .space = has(VFIOLAB_BAR_IO)      ? BarSpace::kIo
                   : has(VFIOLAB_BAR_64BIT) ? BarSpace::kMemory64
                                            : BarSpace::kMemory32,
          .prefetchable = has(VFIOLAB_BAR_PREFETCHABLE),
          .mapping = has(VFIOLAB_BAR_UNMAPPABLE) ? BarMapping::kNone : BarMapping::kTrap};
}

constexpr vfiolab_machine_calls kCalls = {
    .dma_read =
        [](vfiolab_machine* machine, u64 iova, void* to, std::size_t size) {
          const std::span bytes{static_cast<std::byte*>(to), size};
          return machine->host.DmaRead(Iova{iova}, bytes) ? 0 : -1;
        },
    .dma_write =
        [](vfiolab_machine* machine, u64 iova, const void* from, std::size_t size) {
          const std::span bytes{static_cast<const std::byte*>(from), size};
          return machine->host.DmaWrite(Iova{iova}, bytes) ? 0 : -1;
        },
    .signal_msi = [](vfiolab_machine* machine,
                     unsigned vector) { machine->host.SignalMsi(vector); },
    .msi_enabled = [](vfiolab_machine* machine) { return machine->host.MsiEnabled() ? 1 : 0; },
    .set_intx = [](vfiolab_machine* machine,
                   int asserted) { machine->host.SetIntx(asserted != 0); },
    .after =
        [](vfiolab_machine* machine, u64 nanoseconds, void (*due)(void*), void* context) {
          machine->host.After(std::chrono::nanoseconds(nanoseconds), [=] { due(context); });
        },
    .guest_error = [](vfiolab_machine* machine,
                      const char* what) { machine->host.GuestError(what); },
    .parameter =
        [](vfiolab_machine* machine, const char* name) {
          return machine->params.Has(name) ? machine->params[name] : u64{0};
        },
    .bar_memory = [](vfiolab_machine* machine, unsigned bar) -> void* {
      PciDevice::Bar* found = bar < 6 ? machine->device.bar(bar) : nullptr;
      return found == nullptr ? nullptr : found->handler->memory().data();
    }};

}  // namespace

// Of one BAR. The device is reset as a whole.
class DescribedDevice::Registers final : public BarHandler {
 public:
  Registers(const DescribedDevice& device, unsigned bar) : device_(device), bar_(bar) {}
  void Read(Offset at, std::span<std::byte> to) override {
    device_.description_.read(device_.made_, bar_, at, to.data(), to.size());
  }
  void Write(Offset at, std::span<const std::byte> from) override {
    device_.description_.write(device_.made_, bar_, at, from.data(), from.size());
  }
  void Reset() override {}

 private:
  const DescribedDevice& device_;
  unsigned bar_;
};

DescribedDevice::DescribedDevice(DeviceHost& host, const Params& params,
                                 const vfiolab_model& description)
    : PciDevice(host, IdentityOf(description)),
      description_(description),
      machine_{host, params, *this} {
  for (unsigned bar = 0; bar < 6; ++bar) {
    const BarSpec spec = SpecOf(description.bars[bar]);
    const u32 flags = description.bars[bar].flags;
    if (spec.size == 0) continue;
    if ((flags & VFIOLAB_BAR_MEMORY) != 0)
      AddMemoryBar(bar, spec);
    else if ((flags & VFIOLAB_BAR_POLLED) != 0)
      AddPolledBar(bar, spec, [this, bar](Offset at, u32 word) {
        description_.write(made_, bar, at, &word, sizeof word);
      });
    else
      AddHandler(bar, spec, std::make_unique<Registers>(*this, bar));
  }
  made_ = description.create(description.context, &kCalls, &machine_);
}

DescribedDevice::~DescribedDevice() {
  if (description_.destroy != nullptr) description_.destroy(made_);
}

void DescribedDevice::OnReset() {
  if (description_.reset != nullptr) description_.reset(made_);
}

}  // namespace vfiolab::plugins
