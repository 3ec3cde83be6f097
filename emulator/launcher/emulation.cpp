#include "launcher/emulation.hpp"

#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "fake_devices/models.hpp"
#include "sysfs/sysfs.hpp"
#include "topology/build.hpp"

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
    : machine_(environment_, trace_, spec.iommu, spec.kernel), door_(machine_) {
  if (const auto built = topology::Build(spec, fake_devices::Models(), machine_); !built) {
    error_ = built.error().ToString();
    return;
  }
  vfio_ = std::make_unique<vfio::Vfio>(machine_);
  loop_ = std::make_unique<EventLoop>(turn_, machine_, door_);
  environment_.set_loop(*loop_);
  machine_.set_fault_listener(
      [](const FaultRecord& fault) { fmt::print(stderr, "vfiolab: {}\n", fault.ToString()); });
  BuildTree();
}

Emulation::~Emulation() { Stop(); }

void Emulation::BuildTree() {
  vfio_->AddNodes(root_->Make("dev/vfio"));
  sysfs::AddSysfs(machine_, root_->Make("sys"),
                  static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))));
  root_->Add("faults", std::make_shared<TextFile>([this] {
               std::string text;
               for (const FaultRecord& fault : machine_.faults()) text += fault.ToString() + "\n";
               return text;
             }));
}

Result<> Emulation::TraceTo(const std::string& path) {
  trace_file_.open(path, std::ios::trunc);
  if (!trace_file_) return Fail(errno, fmt::format("{} cannot be written", path));
  trace_.SetSink([this](std::string_view line) { trace_file_ << line << '\n' << std::flush; });
  return {};
}

Result<> Emulation::Serve(const std::string& mount_point, FuseServer::Options options) {
  RaiseDescriptorLimit();
  fuse_ = TRY(FuseServer::Mount(*loop_, root_, mount_point, options));
  core_ = std::thread([this] { loop_->Run(); });
  fuse_->LearnDevice();
  notifier_ = std::make_unique<Notifier>(*loop_, *fuse_);
  return {};
}

void Emulation::Stop() {
  if (!core_.joinable()) return;
  loop_->Stop();
  if (turn_.Finish())
    core_.join();
  else
    core_.detach();
  fuse_->Unmount();
  notifier_.reset();
}

}  // namespace vfiolab::launcher
