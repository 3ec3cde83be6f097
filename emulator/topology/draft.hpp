// A topology as read, before anybody asked whether it makes sense. It keeps the order of the file,
// so that entry i of `devices` is /devices/i; what could not be read is nullopt (and reported).
#pragma once
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "topology/spec.hpp"

namespace vfiolab::topology {

struct DeviceDraft {
  std::optional<Bdf> bdf;
  std::optional<std::string> model;
  std::string driver;
  std::map<std::string, std::optional<u64>> params;
  std::map<std::string, std::optional<NamedFile>> dumps;  // no bytes until the file was read
  std::optional<NamedFile> rom;                           // likewise
  std::optional<Bdf> physical_function;
  bool reset = true;
  std::optional<AcsBits> acs;
  std::vector<std::optional<Bdf>> dma_aliases;
};

struct PlatformDraft {
  std::optional<std::string> name;
  std::optional<std::string> model;
  std::string driver;
  std::map<std::string, std::optional<u64>> params;
  bool reset = true;
};

struct WindowDraft {
  std::optional<u64> first;
  std::optional<u64> last;
};

struct BridgeDraft {
  std::string name;    // empty: none
  std::string behind;  // the name of the bridge that `bdf` is behind; empty: it is on a known bus
  std::optional<Bdf> bdf;
  std::optional<BridgeKind> kind;
  std::optional<u8> secondary_bus;
  std::optional<u8> subordinate_bus;
  std::optional<std::optional<AcsBits>> acs;  // absent: the usual
  std::optional<u16> vendor_id;
  std::optional<u16> device_id;
  std::optional<WindowDraft> memory;
  std::optional<WindowDraft> prefetchable;
  std::optional<WindowDraft> io;
  bool reports_link = true;
};

// An address, or the name of a platform device that is in the file.
using MemberDraft = std::variant<Bdf, std::string>;
inline std::string NameOf(const MemberDraft& member) {
  const Bdf* bdf = std::get_if<Bdf>(&member);
  return bdf != nullptr ? bdf->ToString() : std::get<std::string>(member);
}

struct GroupDraft {
  std::optional<unsigned> id;
  std::vector<std::optional<MemberDraft>> members;
};

struct ReservedDraft {
  std::optional<u64> first;
  std::optional<u64> last;
  std::optional<ReservedKind> kind;
};

struct Draft {
  std::string name;
  std::string description;
  Kernel kernel;
  Iommu iommu;                                                // without what the next two hold
  std::optional<std::vector<std::optional<u64>>> page_sizes;  // absent: the default
  std::optional<std::vector<ReservedDraft>> reserved;         // absent: the default
  std::vector<BridgeDraft> bridges;
  std::vector<DeviceDraft> devices;
  std::vector<PlatformDraft> platform;
  std::vector<GroupDraft> groups;
  bool derives_groups = false;  // the file states none

  // The segment and bus behind each bridge that has a name, once that is known.
  std::map<std::string, std::optional<std::pair<u16, u8>>> buses;

  // False when some address, name or group member could not be read: then one that seems to be
  // missing may be there, and is not worth an error.
  bool addresses_known = true;
  bool names_known = true;
  bool members_known = true;
};

}  // namespace vfiolab::topology
