#include <linux/vfio.h>

#include <algorithm>

#include "compare/generation.hpp"
#include "uapi/revised_ioctls.hpp"

namespace vfiolab::compare {
namespace {

using uapi::kBoth, uapi::kWrite, uapi::Number, uapi::Plain;

constexpr u64 kPage = 4096;

struct EarlyMap {
  u64 address, iova, size, flags;
};

// 2010 and 2011: a node for each device, /dev/uiommu for an address space.
class UiommuGeneration final : public Generation {
 public:
  using Generation::Generation;
  bool nodes_are_groups() const override { return false; }
  Result<> Open(Process& process, const std::string& device, Handle& handle) override {
    const std::string node = stage_.node(device);
    handle.node = Keep(handle, TRY(stage_.Open(process, node.empty() ? "vfioN" : node)));
    return {};
  }
  Result<> GetSpace(Process& process, const std::string&, Handle& handle) override {
    handle.space = Keep(handle, TRY(stage_.Open(process, "uiommu")));
    TRY(stage_.IoctlWith(process, handle.node, kSet, handle.space));
    return {};
  }
  Result<> Share(Process& process, const std::string&, Handle& handle, Handle& with) override {
    TRY(stage_.IoctlWith(process, handle.node, kSet, with.space));
    handle.space = with.space;
    return {};
  }
  Result<> Map(Process& process, Handle& handle, u64 iova, u64 address) override {
    TRY(stage_.IoctlWith(process, handle.node, Number(kBoth, 101, sizeof(EarlyMap)),
                         EarlyMap{address, iova, kPage, 1}));
    return {};
  }
  Result<> Unmap(Process& process, Handle& handle, u64 iova, u64 address) override {
    const bool july = stage_.kernel().early_api_name().starts_with("A-jul");
    TRY(stage_.IoctlWith(process, handle.node, Number(july ? kBoth : kWrite, 102, sizeof(EarlyMap)),
                         EarlyMap{address, iova, kPage, 1}));
    return {};
  }

 private:
  static constexpr u32 kSet = Number(kWrite, 107, 4);
};

// What those have in common that have a node for each group.
class GroupGeneration : public Generation {
 public:
  using Generation::Generation;
  Result<> Open(Process& process, const std::string& device, Handle& handle) override {
    handle.node = Keep(
        handle, TRY(stage_.Open(process, fmt::format("vfio/{}{}", prefix_, stage_.group(device)))));
    return {};
  }

 protected:
  Result<> GetDevice(Process& process, const std::string& device, Handle& handle, u32 command) {
    const std::string name = stage_.slot(device).bdf().ToString();
    handle.device = Keep(handle, TRY(stage_.IoctlWithName(process, handle.node, command, name)));
    return {};
  }
  std::string_view prefix_;
};

// August 2011, memory mapped on the group.
class AugustGeneration final : public GroupGeneration {
 public:
  using GroupGeneration::GroupGeneration;
  Result<> GetSpace(Process& process, const std::string& device, Handle& handle) override {
    TRY(GetDevice(process, device, handle, kGetDevice));
    handle.space = handle.node;
    return {};
  }
  Result<> Share(Process& process, const std::string& device, Handle& handle,
                 Handle& with) override {
    if (handle.node != with.node)
      TRY(stage_.IoctlWith(process, handle.node, Number(kWrite, 35, 4), with.node));
    TRY(GetDevice(process, device, handle, kGetDevice));
    handle.space = with.space;
    return {};
  }
  Result<> Map(Process& process, Handle& handle, u64 iova, u64 address) override {
    TRY(stage_.IoctlWith(process, handle.space, Number(kWrite, 33, sizeof(EarlyMap)),
                         EarlyMap{address, iova, kPage, 1}));
    return {};
  }
  Result<> Unmap(Process& process, Handle& handle, u64 iova, u64 address) override {
    TRY(stage_.IoctlWith(process, handle.space, Number(kWrite, 34, sizeof(EarlyMap)),
                         EarlyMap{address, iova, kPage, 1}));
    return {};
  }

  static constexpr u32 kGetDevice = Number(kWrite, 38, 1);
};

// The same month: uiommu kept.
class AugustUiommuGeneration final : public GroupGeneration {
 public:
  using GroupGeneration::GroupGeneration;
  Result<> GetSpace(Process& process, const std::string& device, Handle& handle) override {
    TRY(GetDevice(process, device, handle, AugustGeneration::kGetDevice));
    handle.space = Keep(handle, TRY(stage_.Open(process, "uiommu")));
    TRY(stage_.IoctlWith(process, handle.device, kSet, handle.space));
    return {};
  }
  Result<> Share(Process& process, const std::string& device, Handle& handle,
                 Handle& with) override {
    TRY(GetDevice(process, device, handle, AugustGeneration::kGetDevice));
    TRY(stage_.IoctlWith(process, handle.device, kSet, with.space));
    handle.space = with.space;
    return {};
  }
  Result<> Map(Process& process, Handle& handle, u64 iova, u64 address) override {
    TRY(stage_.IoctlWith(process, handle.device, Number(kWrite, 56, sizeof(EarlyMap)),
                         EarlyMap{address, iova, kPage, 1}));
    return {};
  }
  Result<> Unmap(Process& process, Handle& handle, u64 iova, u64 address) override {
    TRY(stage_.IoctlWith(process, handle.device, Number(kWrite, 57, sizeof(EarlyMap)),
                         EarlyMap{address, iova, kPage, 1}));
    return {};
  }

 private:
  static constexpr u32 kSet = Number(kWrite, 55, 4);
};

// October 2011 to January 2012: groups are merged.
class MergeGeneration final : public GroupGeneration {
 public:
  explicit MergeGeneration(Stage& stage)
      : GroupGeneration(stage),
        revision_(*std::ranges::find(merge::kRevisions, stage.kernel().early_api_name(),
                                     &merge::Revision::name)) {
    prefix_ = revision_.node_prefix;
  }
  Result<> GetSpace(Process& process, const std::string& device, Handle& handle) override {
    handle.space = Keep(handle, TRY(stage_.Ioctl(process, handle.node, Plain(103))));
    return GetDevice(process, device, handle, kGetDevice());
  }
  Result<> Share(Process& process, const std::string& device, Handle& handle,
                 Handle& with) override {
    if (handle.node != with.node)
      TRY(stage_.IoctlWith(process, with.node, Number(kWrite, 101, 4), handle.node));
    TRY(GetDevice(process, device, handle, kGetDevice()));
    handle.space = with.space;
    return {};
  }
  Result<> Map(Process& process, Handle& handle, u64 iova, u64 address) override {
    if (october()) {
      const u64 map[] = {40, address, iova, kPage, 1};
      TRY(stage_.IoctlWith(process, handle.space, Number(kBoth, 105 + late(), 40), map));
    } else {
      const struct {
        u32 argsz, flags;
        u64 address, iova, size;
      } map{32, 3, address, iova, kPage};
      TRY(stage_.IoctlWith(process, handle.space, Plain(106), map));
    }
    return {};
  }
  Result<> Unmap(Process& process, Handle& handle, u64 iova, u64 address) override {
    if (october()) {
      const u64 map[] = {40, address, iova, kPage, 0};
      TRY(stage_.IoctlWith(process, handle.space, Number(kBoth, 106 + late(), 40), map));
    } else {
      const struct {
        u32 argsz, flags;
        u64 iova, size;
      } unmap{24, 0, iova, kPage};
      TRY(stage_.IoctlWith(process, handle.space, Plain(107), unmap));
    }
    return {};
  }

 private:
  bool october() const { return revision_.calls <= merge::Calls::kLateOctober; }
  u32 late() const { return revision_.calls == merge::Calls::kLateOctober ? 1 : 0; }
  u32 kGetDevice() const { return Number(kWrite, 104, october() ? 8 : 1); }

  const merge::Revision& revision_;
};

// Since 2012: containers.
class ContainerGeneration final : public GroupGeneration {
 public:
  using GroupGeneration::GroupGeneration;
  Result<> GetSpace(Process& process, const std::string& device, Handle& handle) override {
    handle.space = Keep(handle, TRY(stage_.Open(process, "vfio/vfio")));
    TRY(stage_.IoctlWith(process, handle.node, VFIO_GROUP_SET_CONTAINER, handle.space));
    TRY(stage_.Ioctl(process, handle.space, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU));
    return GetDevice(process, device, handle, VFIO_GROUP_GET_DEVICE_FD);
  }
  Result<> Share(Process& process, const std::string& device, Handle& handle,
                 Handle& with) override {
    if (handle.node != with.node)
      TRY(stage_.IoctlWith(process, handle.node, VFIO_GROUP_SET_CONTAINER, with.space));
    handle.space = with.space;
    return GetDevice(process, device, handle, VFIO_GROUP_GET_DEVICE_FD);
  }
  Result<> Map(Process& process, Handle& handle, u64 iova, u64 address) override {
    const vfio_iommu_type1_dma_map map{sizeof map, VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
                                       address, iova, kPage};
    TRY(stage_.IoctlWith(process, handle.space, VFIO_IOMMU_MAP_DMA, map));
    return {};
  }
  Result<> Unmap(Process& process, Handle& handle, u64 iova, u64) override {
    const struct {
      u32 argsz, flags;
      u64 iova, size;
    } unmap{24, 0, iova, kPage};
    TRY(stage_.IoctlWith(process, handle.space, VFIO_IOMMU_UNMAP_DMA, unmap));
    return {};
  }
};

template <class G>
std::unique_ptr<Generation> Make(Stage& stage) {
  return std::make_unique<G>(stage);
}

Kernel KernelOf(std::string_view api, const AugustPolicies& policies = {}) {
  Kernel kernel;
  kernel.early_api = *std::ranges::find(kEarlyApis, api, &EarlyApi::name);
  kernel.policies = policies;
  return kernel;
}

}  // namespace

std::vector<GenerationRow> Generations() {
  using Policies = AugustPolicies;
  std::vector<GenerationRow> rows;
  for (const auto& revision : uiommu::kRevisions)
    rows.push_back({std::string(revision.name), KernelOf(revision.name), &Make<UiommuGeneration>});
  const auto august = [&](const char* name, const Policies& policies, auto make) {
    rows.push_back({name, KernelOf(kAugustApi, policies), make});
  };
  august("A-aug, owner refuses", {.owner_close = Policies::OwnerClose::kRefuse},
         &Make<AugustGeneration>);
  august("A-aug, children reset", {.owner_close = Policies::OwnerClose::kResetChildren},
         &Make<AugustGeneration>);
  august("A-aug, child promoted", {.owner_close = Policies::OwnerClose::kPromote},
         &Make<AugustGeneration>);
  august("A-aug, shared open", {.exclusive_open = false}, &Make<AugustGeneration>);
  august("A-aug, open if viable", {.open = Policies::Open::kViable}, &Make<AugustGeneration>);
  august("A-aug, uiommu kept", {.dma = Policies::Dma::kUiommu}, &Make<AugustUiommuGeneration>);
  for (const auto& revision : merge::kRevisions)
    rows.push_back({std::string(revision.name), KernelOf(revision.name), &Make<MergeGeneration>});
  for (const KernelVersion& version : kKernelVersions)
    rows.push_back({std::string(version.name), {.version = version}, &Make<ContainerGeneration>});
  return rows;
}

}  // namespace vfiolab::compare
