// A story about devices and address spaces that can be told by each interface.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "topology/config_error.hpp"

namespace vfiolab::compare {

enum class Driver { kVfio, kHost, kNone };
enum class Deed {
  kOpen,   // the device's node, or that of its group
  kSpace,  // the device gets an address space of its own, and can be driven
  kShare,  // the device sees what another sees, and can be driven
  kMap,    // a page, in the address space of the device
  kUnmap,  // the same
  kDma,    // the device reads that page
  kClose,  // everything that was opened for the device
};

struct ScenarioDevice {
  std::string name;
  unsigned group;
  Driver driver;
};

struct Step {
  Deed deed;
  std::vector<std::string> devices;  // one after the other
  std::string with;                  // of kShare
  unsigned page = 0;                 // of kMap, kUnmap and kDma
  unsigned process = 1;

  std::string ToString() const;  // a sentence: "b shares the address space of a"
};

struct Scenario {
  std::string name;
  std::string question;
  std::vector<ScenarioDevice> devices;
  std::vector<Step> steps;
};

// Reads JSON: docs/compare.md.
Result<Scenario, std::vector<topology::ConfigError>> LoadScenario(const std::string& path);

}  // namespace vfiolab::compare
