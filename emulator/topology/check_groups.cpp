#include <fmt/format.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "topology/check.hpp"
#include "topology/edit_distance.hpp"

namespace vfiolab::topology {
namespace {

std::set<Bdf> Addresses(const Draft& draft) {
  std::set<Bdf> addresses;
  for (const BridgeDraft& bridge : draft.bridges)
    if (bridge.bdf) addresses.insert(*bridge.bdf);
  for (const DeviceDraft& device : draft.devices)
    if (device.bdf) addresses.insert(*device.bdf);
  return addresses;
}

void CheckIds(const std::vector<GroupDraft>& groups, ErrorList& errors) {
  std::map<unsigned, std::size_t> seen;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (!groups[i].id) continue;
    const auto [first, is_new] = seen.emplace(*groups[i].id, i);
    if (!is_new)
      errors.Add(fmt::format("/groups/{}/id", i),
                 fmt::format("group {} is already at /groups/{}", *groups[i].id, first->second),
                 "give each group its own number");
  }
}

void ReportNothingAt(Bdf bdf, const std::string& place, const std::set<Bdf>& addresses,
                     ErrorList& errors) {
  errors.Add(place, fmt::format("nothing is at {}", bdf.ToString()), [&] {
    std::vector<std::string> candidates;
    candidates.reserve(addresses.size());
    for (const Bdf& address : addresses) candidates.push_back(address.ToString());
    return DidYouMean(bdf.ToString(), candidates, "remove it here, or add a device there");
  });
}

// Where each member is named first.
std::map<MemberDraft, std::string> CheckMembers(const Draft& draft, ErrorList& errors) {
  const std::set<Bdf> addresses = Addresses(draft);
  std::map<MemberDraft, std::string> places;
  for (std::size_t i = 0; i < draft.groups.size(); ++i) {
    const auto& members = draft.groups[i].members;
    for (std::size_t j = 0; j < members.size(); ++j) {
      if (!members[j]) continue;
      const std::string place = fmt::format("/groups/{}/members/{}", i, j);
      const auto [first, is_new] = places.emplace(*members[j], place);
      if (!is_new)
        errors.Add(place, fmt::format("{} is already at {}", NameOf(*members[j]), first->second),
                   "name it in one group only, and once");
      else if (const Bdf* bdf = std::get_if<Bdf>(&*members[j]);
               bdf != nullptr && draft.addresses_known && !addresses.contains(*bdf))
        ReportNothingAt(*bdf, place, addresses, errors);
    }
  }
  return places;
}

}  // namespace

void CheckGroups(const Draft& draft, ErrorList& errors) {
  if (draft.derives_groups) return;
  CheckIds(draft.groups, errors);
  const auto members = CheckMembers(draft, errors);
  if (!draft.members_known) return;
  const auto need = [&](std::string_view list, std::size_t i, const MemberDraft& device) {
    if (!members.contains(device))
      errors.Add(fmt::format("/{}/{}", list, i), fmt::format("{} is in no group", NameOf(device)),
                 "name it in the \"members\" of a group");
  };
  for (std::size_t i = 0; i < draft.devices.size(); ++i)
    if (draft.devices[i].bdf) need("devices", i, *draft.devices[i].bdf);
  for (std::size_t i = 0; i < draft.platform.size(); ++i)
    if (draft.platform[i].name) need("platform", i, *draft.platform[i].name);
}

}  // namespace vfiolab::topology
