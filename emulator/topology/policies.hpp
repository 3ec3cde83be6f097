// How a topology answers the open questions of August 2011.
#pragma once
#include "machine/august_policies.hpp"
#include "topology/json_reader.hpp"

namespace vfiolab::topology {

AugustPolicies ReadPolicies(const JsonValue& value);
nlohmann::json ToJson(const AugustPolicies& policies);

}  // namespace vfiolab::topology
