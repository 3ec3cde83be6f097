#include "merge/nodes.hpp"

namespace vfiolab::merge {

Merge::Merge(Machine& machine, const Revision& revision) : revision_(revision) {
  for (auto& [id, group] : machine.groups())
    groups_.emplace(id, std::make_unique<Group>(machine, group, revision,
                                                [this, &group] { nodes_->Update(group); }));
  const bool has_bus = !revision.node_prefix.empty();
  nodes_ = std::make_unique<early::GroupNodes>(
      machine, early::GroupNodes::Names{revision.node_prefix, has_bus}, *this);
}

Result<std::shared_ptr<OpenFile>> Merge::Open(IommuGroup& group) {
  return std::shared_ptr<OpenFile>(std::make_shared<GroupFile>(*groups_.at(group.id())));
}

void Merge::OnBound(DeviceSlot& slot) {
  auto device = std::make_unique<Device>(slot, revision_);
  groups_.at(slot.group().id())->Add(*device);
  devices_.emplace(&slot, std::move(device));
}

void Merge::OnUnbinding(DeviceSlot& slot, std::function<void()> done) {
  Group& group = *groups_.at(slot.group().id());
  devices_.at(&slot)->GiveBack([this, &slot, &group, done = std::move(done)] {
    group.Remove(*devices_.at(&slot));
    devices_.erase(&slot);
    done();
  });
  group.FinishGivingBack();
}

bool Merge::Claims(const IommuGroup& group) {
  return revision_.claims_newcomers && groups_.at(group.id())->set()->open();
}

void Merge::OnEmptied(IommuGroup& group) { groups_.at(group.id())->OnEmptied(); }

bool Merge::IsOpen(const IommuGroup& group) { return groups_.at(group.id())->open(); }

}  // namespace vfiolab::merge
