// A hidden directory for whoever traces clients: loads and stores on mapped registers, of a
// client's thread, as reads and writes of a file that stands for both.
#include <charconv>

#include "transport/fuse_server.hpp"
#include "transport/register_file.hpp"

namespace vfiolab {
namespace {

// Open as long as its opener traces clients.
class TracerFile final : public OpenFile {
 public:
  TracerFile(CallerServices& services, pid_t tracer) : services_(services), tracer_(tracer) {
    services_.tracers.insert(tracer_);
    services_.traced.clear();
  }
  ~TracerFile() override {
    services_.tracers.extract(tracer_);
    services_.traced.clear();
  }
  std::string Name() const override { return "[tracer]"; }

 private:
  CallerServices& services_;
  pid_t tracer_;
};

// "INODE.TID"
struct RegisterName {
  u64 inode = 0;
  pid_t tid = 0;
};

std::optional<RegisterName> Parse(std::string_view name) {
  RegisterName parsed;
  const char* const end = name.data() + name.size();
  const auto inode = std::from_chars(name.data(), end, parsed.inode);
  if (inode.ec != std::errc{} || inode.ptr == end || *inode.ptr != '.') return std::nullopt;
  const auto tid = std::from_chars(inode.ptr + 1, end, parsed.tid);
  if (tid.ec != std::errc{} || tid.ptr != end) return std::nullopt;
  return parsed;
}

}  // namespace

Reply RegisterFile::Load(std::span<std::byte> to, u64 offset) {
  const auto file = device_file_.lock();
  if (!file) return Fail(EIO, "the device is closed");
  Caller caller(services_, tid_);
  return loop_.door().Load(loop_.Now(), caller, *file, to, offset);
}

Reply RegisterFile::Store(std::span<const std::byte> from, u64 offset) {
  const auto file = device_file_.lock();
  if (!file) return Fail(EIO, "the device is closed");
  Caller caller(services_, tid_);
  return loop_.door().Store(loop_.Now(), caller, *file, from, offset);
}

void FuseServer::AddTracerNode() {
  mmio_->Add("tracer", std::make_shared<DeviceNode>(
                           0600, [this](CallContext& caller) -> Result<std::shared_ptr<OpenFile>> {
                             if (!calls_.services().can_map_regions)
                               return Fail(EOPNOTSUPP, "nothing can be mapped");
                             return std::shared_ptr<OpenFile>(
                                 std::make_shared<TracerFile>(calls_.services(), caller.tid()));
                           }));
}

FuseInodes::Inode* FuseServer::LookUpRegisters(FuseInodes::Inode& directory,
                                               const std::string& name) {
  const auto parsed = Parse(name);
  FuseInodes::Inode* device = parsed ? inodes_.Find(parsed->inode) : nullptr;
  if (device == nullptr || device->opens.empty()) return inodes_.Lookup(directory, name);
  mmio_->Add(name, std::make_shared<DeviceNode>(
                       0600,
                       [this, file = device->opens.front(),
                        tid = parsed->tid](CallContext&) -> Result<std::shared_ptr<OpenFile>> {
                         return std::shared_ptr<OpenFile>(
                             std::make_shared<RegisterFile>(loop_, calls_.services(), file, tid));
                       }));
  FuseInodes::Inode* inode = inodes_.Lookup(directory, name);
  mmio_->Remove(name);
  return inode;
}

}  // namespace vfiolab
