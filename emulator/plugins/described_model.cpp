#include "plugins/described_model.hpp"

#include <fmt/format.h>

#include <bit>

#include "plugins/described_device.hpp"

namespace vfiolab::plugins {
namespace {

Result<> CheckBar(const vfiolab_model& model, unsigned index) {
  const vfiolab_bar& bar = model.bars[index];
  if (bar.size == 0) return {};
  const bool io = (bar.flags & VFIOLAB_BAR_IO) != 0;
  const u64 least = io ? 4 : 16, most = io ? 256 : u64{1} << 39;
  if (!std::has_single_bit(bar.size) || bar.size < least || bar.size > most)
    return Fail(EINVAL, fmt::format("BAR{} has {} bytes: give a power of two, {} to {}", index,
                                    bar.size, least, most));
  if (model.msix_vectors > 0 && index == model.msix_bar)
    return Fail(EINVAL, fmt::format("BAR{} is where the table of MSI-X goes", index));
  if (index > 0 && (model.bars[index - 1].flags & VFIOLAB_BAR_64BIT) != 0 &&
      model.bars[index - 1].size > 0)
    return Fail(EINVAL, fmt::format("BAR{} is the upper half of the one before it", index));
  const bool memory = (bar.flags & VFIOLAB_BAR_MEMORY) != 0;
  const bool polled = (bar.flags & VFIOLAB_BAR_POLLED) != 0;
  if (int{io} + int{memory} + int{polled} > 1)
    return Fail(EINVAL, fmt::format("BAR{} is more than one of I/O, memory and polled", index));
  if (!memory && ((!polled && model.read == nullptr) || model.write == nullptr))
    return Fail(EINVAL,
                fmt::format("BAR{} has registers, but there is no read() or write()", index));
  return {};
}

Result<> Check(const vfiolab_model& model) {
  if (model.abi != VFIOLAB_MODEL_ABI)
    return Fail(EINVAL,
                fmt::format("the model is of ABI {}, and not {}", model.abi, VFIOLAB_MODEL_ABI));
  if (model.create == nullptr) return Fail(EINVAL, "there is no create()");
  if (model.interrupt_pin > 4)
    return Fail(EINVAL, fmt::format("interrupt pin {}", model.interrupt_pin));
  if (model.msi_vectors > 32 || (model.msi_vectors != 0 && !std::has_single_bit(model.msi_vectors)))
    return Fail(EINVAL, fmt::format("{} vectors of MSI", model.msi_vectors));
  if (model.msix_vectors > 2048 || (model.msix_vectors > 0 && model.msix_bar > 5))
    return Fail(EINVAL,
                fmt::format("{} vectors of MSI-X in BAR{}", model.msix_vectors, model.msix_bar));
  for (unsigned bar = 0; bar < 6; ++bar) TRY(CheckBar(model, bar));
  return {};
}

std::string_view Text(const char* text) { return text == nullptr ? "" : text; }

}  // namespace

DescribedModel::DescribedModel(const vfiolab_model& description, std::string name)
    : description_(description), name_(std::move(name)) {
  for (std::size_t i = 0; i < description.parameter_count; ++i) {
    const vfiolab_parameter& given = description.parameters[i];
    parameters_.push_back(
        {Text(given.name), Text(given.meaning), given.fallback, given.min, given.max});
  }
  model_ = {.name = name_,
            .summary = Text(description.summary),
            .params = parameters_,
            .create = [](const Model& model, DeviceHost& host,
                         const Params& params) -> std::unique_ptr<PciDevice> {
              return std::make_unique<DescribedDevice>(
                  host, params, *static_cast<const vfiolab_model*>(model.description));
            },
            .description = &description};
}

Result<std::unique_ptr<DescribedModel>> DescribedModel::Make(const vfiolab_model& description,
                                                             std::string name) {
  TRY(Check(description));
  return std::unique_ptr<DescribedModel>(new DescribedModel(description, std::move(name)));
}

}  // namespace vfiolab::plugins
