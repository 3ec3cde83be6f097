// What a topology file says, as plain structs that mirror the JSON. See topologies/schema.json.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "device/model.hpp"
#include "iommu/iommu.hpp"
#include "machine/kernel.hpp"
#include "pci/bdf.hpp"
#include "pci/bridge_config.hpp"

namespace vfiolab::topology {

// A file that a topology names, and the bytes that it stands for: of config space, or of a ROM.
struct NamedFile {
  std::string file;  // as the topology names it
  std::vector<std::byte> bytes;

  bool operator==(const NamedFile&) const = default;
};

struct DeviceSpec {
  Bdf bdf;
  std::string model;  // a name in the model registry, or the path of a plug-in
  // "vfio-pci", any other name (a simulated host driver), or "" for none.
  std::string driver = "vfio-pci";
  std::map<std::string, u64> params;       // checked against the model's ParamSpecs
  std::map<std::string, NamedFile> dumps;  // by the model's DumpSpecs
  std::optional<NamedFile> rom;            // the expansion ROM
  std::optional<Bdf> physical_function;    // whose SR-IOV virtual function it is
  bool reset = true;                       // false: somebody has taken its reset methods away
  std::optional<AcsBits> acs;              // what of access control it says that it can do
  std::vector<Bdf> dma_aliases;            // whose requester ids its DMA may have, too; ordered

  bool operator==(const DeviceSpec&) const = default;
};

// A device that is not on a PCI bus.
struct PlatformSpec {
  std::string name;   // on its bus: "fe000000.copier"
  std::string model;  // a name in the model registry
  // "vfio-platform", any other name (a simulated host driver), or "" for none.
  std::string driver = "vfio-platform";
  std::map<std::string, u64> params;  // checked against the model's ParamSpecs
  bool reset = true;                  // false: nobody on the host knows how to reset it

  bool operator==(const PlatformSpec&) const = default;
};

// A bridge or a port with the buses behind it.
struct BridgeSpec {
  Bdf bdf;
  BridgeKind kind = BridgeKind::kRootPort;
  BridgeIds ids = UsualIds(BridgeKind::kRootPort);
  u8 secondary_bus = 0;        // the bus right behind it
  u8 subordinate_bus = 0;      // the highest bus behind it; defaults to secondary_bus
  std::optional<AcsBits> acs;  // what of access control it can do; nothing: it has no capability
  BridgeWindows windows;       // those that are given; the others follow from what is behind it
  bool reports_link = true;  // false: does not say in time that its link is up again after a reset

  bool operator==(const BridgeSpec&) const = default;
};

struct GroupSpec {
  unsigned id = 0;
  std::vector<Bdf> members;                   // devices and bridges, ordered
  std::vector<std::string> platform_members;  // platform devices, ordered

  bool operator==(const GroupSpec&) const = default;
};

struct TopologySpec {
  std::string name;  // defaults to the file's stem
  std::string description;
  Kernel kernel;
  Iommu iommu;
  std::vector<BridgeSpec> bridges;     // ordered by bdf
  std::vector<DeviceSpec> devices;     // ordered by bdf
  std::vector<PlatformSpec> platform;  // ordered by name
  std::vector<GroupSpec> groups;       // ordered by id
  bool derives_groups = false;         // they follow from the hierarchy: `groups` is empty
  std::vector<Model> plugins;          // models that devices name by path

  bool operator==(const TopologySpec&) const = default;
};

}  // namespace vfiolab::topology
