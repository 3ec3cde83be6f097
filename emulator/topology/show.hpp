// A topology for people and for programs.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "topology/spec.hpp"

namespace vfiolab::topology {

// More about a device than its spec says, such as its BARs: a line of text each, or an object.
using DescribeDevice = std::function<std::vector<std::string>(const DeviceSpec&)>;
using DeviceFacts = std::function<nlohmann::json(const DeviceSpec&)>;
using DescribePlatform = std::function<std::vector<std::string>(const PlatformSpec&)>;
using PlatformFacts = std::function<nlohmann::json(const PlatformSpec&)>;

// `spec` is one that Load() gave.
//
// The groups with their members, as groups are what a VFIO client opens. Members that sit behind a
// bridge of the same group hang below it; others say which bridge they are behind. What is in no
// group comes last. Ends with a newline.
std::string RenderTree(const TopologySpec& spec, const DescribeDevice& describe = {},
                       const DescribePlatform& describe_platform = {});

// As in a topology file, with nothing left to defaults: Load() makes the same spec of it.
nlohmann::json ToJson(const TopologySpec& spec);

// The same with what `facts` says about each device under its key "facts". Load() refuses that key.
nlohmann::json ToJson(const TopologySpec& spec, const DeviceFacts& facts,
                      const PlatformFacts& platform_facts = {});

}  // namespace vfiolab::topology
