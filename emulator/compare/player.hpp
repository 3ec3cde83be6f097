// Plays a scenario by an interface, and shows side by side what came of it.
#pragma once
#include "compare/generation.hpp"

namespace vfiolab::compare {

struct Outcome {
  std::string text;    // "ok", "EBUSY", "reaches", "faults", or "-": nothing to do it with
  std::string reason;  // of an errno
  bool operator==(const Outcome&) const = default;
};

struct Performance {
  std::string generation;
  std::vector<Outcome> outcomes;  // one for each step
  unsigned calls = 0;
};

Performance Play(const Scenario& scenario, const GenerationRow& row);

// A table with a line for each outcome, and below it why calls failed. Interfaces in which the same
// happened share a line.
std::string Render(const Scenario& scenario, const std::vector<Performance>& performances);

}  // namespace vfiolab::compare
