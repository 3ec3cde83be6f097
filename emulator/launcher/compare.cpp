#include <fmt/format.h>

#include "compare/player.hpp"
#include "launcher/commands.hpp"
#include "launcher/load.hpp"

namespace vfiolab::launcher {

int Compare(const std::string& path) {
  const auto scenario = compare::LoadScenario(path);
  if (!scenario) {
    fmt::print(stderr, "{}\n", topology::ToString(scenario.error()));
    return kBadTopology;
  }
  std::vector<compare::Performance> performances;
  for (const compare::GenerationRow& row : compare::Generations())
    performances.push_back(compare::Play(*scenario, row));
  fmt::print("{}", compare::Render(*scenario, performances));
  return 0;
}

}  // namespace vfiolab::launcher
