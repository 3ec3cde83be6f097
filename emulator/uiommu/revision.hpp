// The interface of 2010 and 2011, and in what its revisions differ (drivers/vfio of that time).
#pragma once
#include <algorithm>
#include <array>
#include <string_view>

#include "machine/kernel.hpp"

namespace vfiolab::uiommu {

// Which ioctls there are.
enum class Calls { kOctober, kApril, kJune, kJuly };

struct Revision {
  std::string_view name;
  Calls calls = Calls::kJuly;
  // Region n begins at n << region_shift of a device's file.
  unsigned region_shift = 32;
  // Mappings belong to the domain and are found by IOVA. Else they belong to the file through which
  // they were made and are found by address.
  bool mappings_of_domain = false;
  // A mapping of a file goes when its process unmaps some of the memory.
  bool follows_process = false;
  // A device that is open when it is removed cannot be reset any more.
  bool no_reset_while_removed = false;
  // Functions whose COMMAND cannot disable INTx are not taken.
  bool needs_intx_disable = false;
  // Memory is moved in units of 4, 2 and 1 bytes; else as memcpy() moves it.
  bool moves_in_units = false;
  // When the last file is closed the function is reset, and has its state of before the first open.
  bool restores_state = false;
  // In messages the domain of a function has 32 bits and its bus 16; else 16 and 8.
  bool wide_addresses = false;
  // A client that registers for nothing is no longer registered; else that is refused.
  bool nothing_deregisters = false;
  // With the last file go all who have registered; else with the driver.
  bool forgets_listeners = false;
  // An event counts as sent where all who want it got it; else one is enough.
  bool all_must_hear = false;

  bool operator==(const Revision&) const = default;
};

inline constexpr std::array kRevisions = {
    Revision{.name = "A5",
             .calls = Calls::kOctober,
             .follows_process = true,
             .needs_intx_disable = true,
             .wide_addresses = true},
    Revision{.name = "A6", .calls = Calls::kApril, .follows_process = true, .wide_addresses = true},
    Revision{.name = "A-jun",
             .calls = Calls::kJune,
             .region_shift = 48,
             .mappings_of_domain = true,
             .no_reset_while_removed = true,
             .restores_state = true,
             .nothing_deregisters = true,
             .forgets_listeners = true,
             .all_must_hear = true},
    Revision{.name = "A-jul-15",
             .region_shift = 48,
             .mappings_of_domain = true,
             .no_reset_while_removed = true,
             .moves_in_units = true,
             .restores_state = true,
             .nothing_deregisters = true,
             .forgets_listeners = true,
             .all_must_hear = true},
    Revision{.name = "A-jul",
             .region_shift = 40,
             .mappings_of_domain = true,
             .no_reset_while_removed = true,
             .moves_in_units = true,
             .restores_state = true,
             .nothing_deregisters = true,
             .forgets_listeners = true,
             .all_must_hear = true},
};

}  // namespace vfiolab::uiommu
