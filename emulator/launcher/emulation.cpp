#include "launcher/emulation.hpp"

#include <fmt/format.h>
#include <linux/pci_regs.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "fake_devices/models.hpp"
#include "launcher/filter.hpp"

namespace vfiolab::launcher {
namespace {

// Every eventfd of a client takes a descriptor, and one device may have thousands. Clients keep the
// limit that they have: they are not children of this process, or were made before.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

Emulation::Emulation(const topology::TopologySpec& spec)
    : host_(spec, fake_devices::Models(), environment_,
            static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)))) {
  if (!error().empty()) return;
  loop_ = std::make_unique<EventLoop>(turn_, host_.machine(), host_.door());
  environment_.set_loop(*loop_);
  host_.machine().set_fault_listener(
      [](const FaultRecord& fault) { fmt::print(stderr, "vfiolab: {}\n", fault.ToString()); });
  AddWantedCalls();
}

Emulation::~Emulation() { Stop(); }

// Where other numbers than today's return descriptors, or an unknown one is ENOSYS.
bool Emulation::WantsIoctls() const {
  return host_.interfaces().merge != nullptr || host_.interfaces().august != nullptr;
}

void Emulation::AddWantedCalls() {
  host_.root()->Add(kWantedCalls, std::make_shared<TextFile>([this] {
                      return fmt::format("{}\n{}\n{}\n",
                                         host_.machine().hears_unmaps() ? kWantedMemory : "",
                                         WantsIoctls() ? kWantedIoctls : "",
                                         host_.interfaces().uiommu ? kWantedNetlink : "");
                    }));
}

Result<> Emulation::TraceTo(const std::string& path) {
  trace_file_.open(path, std::ios::trunc);
  if (!trace_file_) return Fail(errno, fmt::format("{} cannot be written", path));
  host_.trace().SetSink([this](std::string_view line) {
    trace_file_ << line << '\n' << std::flush;
  });
  return {};
}

// Where not all mappings of devices begin at the offset that is asked for.
bool Emulation::MovesMappings() const {
  using Regions = AugustPolicies::Regions;
  return host_.interfaces().uiommu != nullptr ||
         (host_.interfaces().august != nullptr &&
          host_.machine().kernel().policies.regions == Regions::kDescriptors);
}

bool Emulation::HasRegisters() const {
  return std::ranges::any_of(
             host_.machine().devices(),
             [](const auto& entry) {
               const PciDevice& device = entry.second->device();
               for (unsigned i = 0; i < PCI_STD_NUM_BARS; ++i)
                 if (device.bar(i) != nullptr && device.bar(i)->spec.mapping == BarMapping::kTrap)
                   return true;
               return false;
             }) ||
         std::ranges::any_of(host_.machine().platform_devices(), [](const auto& entry) {
           return std::ranges::any_of(entry.second->device().regions(), [](const auto& region) {
             return region.spec.mapping == BarMapping::kTrap;
           });
         });
}

Result<> Emulation::Serve(const std::string& mount_point, FuseServer::Options options, bool cuse) {
  RaiseDescriptorLimit();
  if (cuse) TRY(KernelCuse::Check());
  calls_ = std::make_unique<FileCalls>(*loop_);
  calls_->AddTaker([this] { return environment_.LookAtMemory(); });
  environment_.set_on_stores([this] { calls_->StayAwake(); });
  options.traces = HasRegisters() || MovesMappings();
  fuse_ = TRY(FuseServer::Mount(*loop_, *calls_, host_.root(), mount_point, options));
  core_ = std::thread([this] { loop_->Run(); });
  fuse_->LearnDevice();
  if (cuse)
    if (auto started = StartCuse(); !started) {
      Stop();
      return started;
    }
  notifier_ = std::make_unique<Notifier>(*loop_, *calls_, *fuse_, cuse_.get(),
                                         host_.interfaces().netlink_family());
  return {};
}

// The core serves already, as the way to the nodes' directory leads through the tree.
Result<> Emulation::StartCuse() {
  constexpr const char* kNodes = "/dev/vfio";
  cuse_host_ = TRY(KernelCuse::Mount(fuse_->mount_point() + kNodes));
  // Names of devices are the host's; that of the pid namespace makes ours unlike all others.
  struct stat space {};
  ::stat("/proc/self/ns/pid", &space);
  CuseServer::Options options{.path = kNodes,
                              .prefix = fmt::format("vfiolab/{}.{}", space.st_ino, ::getpid()),
                              .before_call = [this] { fuse_->Drain(); }};
  return loop_->Ask([&] {
    cuse_ = std::make_unique<CuseServer>(*loop_, *calls_, *cuse_host_,
                                         host_.root()->Make("dev/vfio"), std::move(options));
    return cuse_->Start();
  });
}

void Emulation::Stop() {
  if (!core_.joinable()) return;
  loop_->Stop();
  if (turn_.Finish())
    core_.join();
  else
    core_.detach();
  // Whoever waits for an answer goes on, also the notifier.
  if (cuse_) cuse_->Stop();
  fuse_->Unmount();
  notifier_.reset();
}

}  // namespace vfiolab::launcher
