// MSI and MSI-X: one eventfd for each vector.
#include "vfio/irqs.hpp"

namespace vfiolab::vfio {

void Irqs::OnMsi(unsigned vector) {
  const auto it = vectors_.find(vector);
  if (it != vectors_.end()) Signal(it->second, fmt::format("vector {}", vector));
}

std::optional<unsigned> Irqs::msi_log2_vectors() const {
  if (mode_ != Mode::kMsi) return std::nullopt;
  return static_cast<unsigned>(std::bit_width(enabled_vectors_ - 1));
}

void Irqs::DisableMsi() {
  vectors_.clear();
  enabled_vectors_ = 0;
  mode_ = Mode::kNone;
  slot_.SetMsi(MsiState::kDisabled);
}

Reply Irqs::SetMsiTrigger(const Request& request) {
  const Mode wanted = request.index == VFIO_PCI_MSIX_IRQ_INDEX ? Mode::kMsix : Mode::kMsi;
  const bool enabled = mode_ == wanted;
  if (enabled && request.count == 0 && request.data_type == VFIO_IRQ_SET_DATA_NONE) {
    DisableMsi();
    return 0;
  }
  if (!enabled && mode_ != Mode::kNone) return Fail(EINVAL, "another interrupt type is enabled");
  if (request.data_type == VFIO_IRQ_SET_DATA_EVENTFD) {
    if (enabled) return SetVectors(request, false);
    if (request.start + request.count == 0) return Fail(ERANGE, "MSI with no vector");
    mode_ = wanted;
    enabled_vectors_ = request.start + request.count;
    slot_.SetMsi(wanted == Mode::kMsix ? MsiState::kMsix : MsiState::kMsi);
    return SetVectors(request, true);
  }
  if (!enabled) return Fail(EINVAL, "this interrupt type is not enabled");
  for (u32 i = 0; i < request.count; ++i)
    if (request.data_type == VFIO_IRQ_SET_DATA_NONE || request.flag(i)) OnMsi(request.start + i);
  return 0;
}

Reply Irqs::SetVectors(const Request& request, bool just_enabled) {
  for (u32 i = 0; i < request.count; ++i) {
    const u32 vector = request.start + i;
    const int fd = request.fd(i);
    Result<> assigned;
    if (fd < 0) {
      vectors_.erase(vector);
    } else if (mode_ == Mode::kMsi && vector >= enabled_vectors_) {
      assigned = Fail(EINVAL, fmt::format("vector {} of {}", vector, enabled_vectors_));
    } else if (auto eventfd = request.caller.ImportEventfd(fd)) {
      vectors_.insert_or_assign(vector, *std::move(eventfd));
    } else {
      assigned = Failure{std::move(eventfd).error()};
    }
    if (assigned) continue;
    for (u32 undo = request.start; undo <= vector; ++undo) vectors_.erase(undo);
    if (just_enabled) DisableMsi();
    return Failure{std::move(assigned).error()};
  }
  return 0;
}

}  // namespace vfiolab::vfio
