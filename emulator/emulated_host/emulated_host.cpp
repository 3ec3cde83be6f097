#include "emulated_host/emulated_host.hpp"

#include "sysfs/sysfs.hpp"
#include "topology/build.hpp"

namespace vfiolab {

EmulatedHost::EmulatedHost(const topology::TopologySpec& spec, std::span<const Model> models,
                           Environment& environment, unsigned processors)
    : machine_(environment, trace_, spec.iommu, spec.kernel) {
  if (const auto built = topology::Build(spec, models, machine_); !built) {
    error_ = built.error().ToString();
    return;
  }
  interfaces_ = std::make_unique<Interfaces>(machine_);
  Directory& nodes = root_->Make("dev/vfio");
  interfaces_->AddNodes(nodes, root_->Make("dev"));
  sysfs::AddSysfs(machine_, root_->Make("sys"), processors, &nodes);
  root_->Add("faults", std::make_shared<TextFile>([this] {
               std::string text;
               for (const FaultRecord& fault : machine_.faults()) text += fault.ToString() + "\n";
               return text;
             }));
}

}  // namespace vfiolab
