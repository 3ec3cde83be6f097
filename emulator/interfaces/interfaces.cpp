#include "interfaces/interfaces.hpp"

#include <algorithm>

namespace vfiolab {

Interfaces::Interfaces(Machine& machine) {
  const Kernel& kernel = machine.kernel();
  if (kernel.has_vfio()) vfio = std::make_unique<vfio::Vfio>(machine);
  const std::string_view api = kernel.early_api_name();
  if (const auto revision = std::ranges::find(uiommu::kRevisions, api, &uiommu::Revision::name);
      revision != uiommu::kRevisions.end())
    uiommu = std::make_unique<uiommu::Uiommu>(machine, *revision);
  if (const auto revision = std::ranges::find(merge::kRevisions, api, &merge::Revision::name);
      revision != merge::kRevisions.end())
    merge = std::make_unique<merge::Merge>(machine, *revision);
  if (api == kAugustApi) august = std::make_unique<august::August>(machine);
}

void Interfaces::AddNodes(Directory& dev_vfio, Directory& dev) {
  if (vfio) vfio->AddNodes(dev_vfio);
  if (uiommu) uiommu->AddNodes(dev);
  if (merge) merge->AddNodes(dev_vfio);
  if (august) august->AddNodes(dev_vfio, dev);
}

}  // namespace vfiolab
