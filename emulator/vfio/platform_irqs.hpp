// The interrupts of a vfio-platform device: which eventfds they signal (vfio_platform_irq.c).
#pragma once
#include <optional>
#include <vector>

#include "machine/platform_slot.hpp"
#include "vfio/irq_request.hpp"
#include "vfio/virqfd.hpp"

namespace vfiolab::vfio {

class PlatformIrqs final : public PlatformIrqSink {
 public:
  explicit PlatformIrqs(PlatformSlot& slot);
  ~PlatformIrqs() override;

  u32 count() const { return static_cast<u32>(lines_.size()); }
  Reply GetInfo(const uapi::IoctlCall& call) const;
  Reply Set(const uapi::IoctlCall& call);

  // PlatformIrqSink
  void OnLevel(unsigned irq, bool asserted) override;
  void OnEdge(unsigned irq) override;

 private:
  struct Line {
    bool level;
    std::optional<Eventfd> trigger;
    bool masked = false;   // of a level
    bool pending = false;  // an edge that nobody has heard
    Virqfd mask = {}, unmask = {};
  };

  Reply SetMask(const IrqRequest& request, bool masked);
  Reply SetTrigger(const IrqRequest& request);
  Result<> ReplaceTrigger(const IrqRequest& request, int fd);
  void Mask(Line& line) { line.masked = true; }
  void Unmask(u32 irq);
  // What the kernel's handler does.
  void Handle(u32 irq);

  PlatformSlot& slot_;
  std::vector<Line> lines_;
};

}  // namespace vfiolab::vfio
