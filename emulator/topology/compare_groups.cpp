#include "topology/compare_groups.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <map>

namespace vfiolab::topology {
namespace {

std::map<Bdf, unsigned> ByMember(const std::vector<GroupSpec>& groups) {
  std::map<Bdf, unsigned> numbers;
  for (const GroupSpec& group : groups)
    for (const Bdf member : group.members) numbers.emplace(member, group.id);
  return numbers;
}

// The members of one group as `others` parts them.
std::vector<std::vector<Bdf>> Parts(const GroupSpec& group, const std::map<Bdf, unsigned>& others) {
  std::map<unsigned, std::vector<Bdf>> parts;
  for (const Bdf member : group.members)
    if (const auto other = others.find(member); other != others.end())
      parts[other->second].push_back(member);
  std::vector<std::vector<Bdf>> list;
  for (auto& [number, members] : parts) list.push_back(std::move(members));
  return list;
}

std::string Names(const std::vector<Bdf>& members) {
  std::vector<std::string> names;
  for (const Bdf member : members) names.push_back(member.ToString());
  return fmt::format("{}", fmt::join(names, " "));
}

// "A | B C", where there is more than one part.
std::string Joined(const std::vector<std::vector<Bdf>>& parts) {
  std::vector<std::string> texts;
  for (const auto& part : parts) texts.push_back(Names(part));
  return fmt::format("{}", fmt::join(texts, " | "));
}

}  // namespace

std::vector<std::string> CompareGroups(const std::vector<GroupSpec>& stated,
                                       const std::vector<GroupSpec>& derived) {
  std::vector<std::string> lines;
  const auto derived_by_member = ByMember(derived), stated_by_member = ByMember(stated);
  for (const GroupSpec& group : stated)
    if (const auto parts = Parts(group, derived_by_member); parts.size() > 1)
      lines.push_back(
          fmt::format("group {} is several by the hierarchy: {}", group.id, Joined(parts)));
  for (const GroupSpec& group : derived)
    if (const auto parts = Parts(group, stated_by_member); parts.size() > 1) {
      std::vector<unsigned> numbers;
      for (const auto& part : parts) numbers.push_back(stated_by_member.at(part.front()));
      lines.push_back(fmt::format("groups {} are one by the hierarchy: {}",
                                  fmt::join(numbers, " and "), Joined(parts)));
    }
  return lines;
}

}  // namespace vfiolab::topology
