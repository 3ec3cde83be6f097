#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <vfiolab/vfiolab.h>

#include <cstring>
#include <new>
#include <optional>

#include "fake_devices/models.hpp"
#include "in_process/process.hpp"
#include "plugins/described_model.hpp"
#include "plugins/load_plugin.hpp"
#include "topology/load.hpp"

using vfiolab::Result;
using vfiolab::u32;
using vfiolab::u64;

struct vfiolab_host {
  std::vector<std::unique_ptr<vfiolab::plugins::DescribedModel>> described;
  std::vector<vfiolab::Model> models;
  std::optional<vfiolab::in_process::Process> process;
  u64 faults_taken = 0;
};

namespace {

u64 Address(const void* pointer) { return reinterpret_cast<u64>(pointer); }

int Failed(int code) {
  errno = code;
  return -1;
}

// The value that `call` comes to, as a system call returns it. Nothing is thrown through C.
template <class Call>
auto Answer(Call call) noexcept -> long {
  try {
    auto result = call();
    if (!result) return Failed(result.error().code);
    if constexpr (requires { static_cast<long>(*result); })
      return static_cast<long>(*result);
    else
      return 0;
  } catch (const std::bad_alloc&) {
    return Failed(ENOMEM);
  }
}

char* Copied(const std::string& text) { return ::strdup(text.c_str()); }

template <std::size_t N>
void Put(char (&to)[N], std::string_view text) {
  to[text.copy(to, N - 1)] = '\0';
}

using Created = Result<std::unique_ptr<vfiolab_host>, std::string>;

Created Create(const char* json, const char* name, const vfiolab_model* const* given) {
  using namespace vfiolab;
  auto host = std::make_unique<vfiolab_host>();
  const auto own = fake_devices::Models();
  host->models.assign(own.begin(), own.end());
  for (; given != nullptr && *given != nullptr; ++given) {
    const std::string called = (*given)->name == nullptr ? "" : (*given)->name;
    auto described = plugins::DescribedModel::Make(**given, called);
    if (!described) return Failure{"model " + called + ": " + described.error().reason + "\n"};
    host->models.push_back((*described)->model());
    host->described.push_back(*std::move(described));
  }
  const auto spec = json == nullptr ? topology::LoadFile(name, host->models, plugins::LoadPlugin)
                                    : topology::Load(json, name, host->models, plugins::LoadPlugin);
  if (!spec) return Failure{topology::ToString(spec.error()) + "\n"};
  host->process.emplace(*spec, host->models);
  if (!host->process->error().empty()) return Failure{host->process->error() + "\n"};
  return host;
}

}  // namespace

vfiolab_host* vfiolab_create(const char* json, const char* name, char** errors) {
  return vfiolab_create_with_models(json, name, nullptr, errors);
}

vfiolab_host* vfiolab_create_with_models(const char* json, const char* name,
                                         const vfiolab_model* const* models, char** errors) {
  try {
    auto host = Create(json, name == nullptr ? "topology" : name, models);
    if (host) return host->release();
    if (errors != nullptr) *errors = Copied(host.error());
    errno = EINVAL;
  } catch (const std::bad_alloc&) {
    if (errors != nullptr) *errors = Copied("there is not enough memory\n");
    errno = ENOMEM;
  }
  return nullptr;
}

void vfiolab_destroy(vfiolab_host* host) { delete host; }

int vfiolab_open(vfiolab_host* host, const char* path, int flags) {
  return static_cast<int>(Answer([&] { return host->process->Open(path, flags); }));
}

int vfiolab_close(vfiolab_host* host, int fd) {
  return static_cast<int>(Answer([&] { return host->process->Close(fd); }));
}

int vfiolab_ioctl(vfiolab_host* host, int fd, unsigned long request, const void* argument) {
  return static_cast<int>(Answer(
      [&] { return host->process->Ioctl(fd, static_cast<u32>(request), Address(argument)); }));
}

ssize_t vfiolab_read(vfiolab_host* host, int fd, void* to, size_t size) {
  return Answer([&] { return host->process->Read(fd, Address(to), size); });
}

ssize_t vfiolab_write(vfiolab_host* host, int fd, const void* from, size_t size) {
  return Answer([&] { return host->process->Write(fd, Address(from), size); });
}

ssize_t vfiolab_pread(vfiolab_host* host, int fd, void* to, size_t size, off_t offset) {
  if (offset < 0) return Failed(EINVAL);
  return Answer([&] { return host->process->Read(fd, Address(to), size, offset); });
}

ssize_t vfiolab_pwrite(vfiolab_host* host, int fd, const void* from, size_t size, off_t offset) {
  if (offset < 0) return Failed(EINVAL);
  return Answer([&] { return host->process->Write(fd, Address(from), size, offset); });
}

off_t vfiolab_lseek(vfiolab_host* host, int fd, off_t offset, int whence) {
  return Answer([&] { return host->process->Seek(fd, offset, whence); });
}

void* vfiolab_mmap(vfiolab_host* host, void* address, size_t length, int protection, int flags,
                   int fd, off_t offset) {
  return reinterpret_cast<void*>(Answer([&] {
    return host->process->Mmap(Address(address), length, protection, flags, fd,
                               static_cast<u64>(offset));
  }));
}

int vfiolab_munmap(vfiolab_host* host, void* address, size_t length) {
  return static_cast<int>(Answer([&] { return host->process->Munmap(Address(address), length); }));
}

ssize_t vfiolab_readlink(vfiolab_host* host, const char* path, char* to, size_t size) {
  return Answer([&]() -> Result<long> {
    const std::string target = TRY(host->process->ReadLink(path));
    const std::size_t copied = target.copy(to, size);
    if (copied < size) to[copied] = '\0';
    return static_cast<long>(copied);
  });
}

char* vfiolab_list(vfiolab_host* host, const char* path) {
  char* names = nullptr;
  Answer([&]() -> Result<long> {
    std::string text;
    for (const std::string& name : TRY(host->process->List(path))) text += name + "\n";
    names = Copied(text);
    return 0;
  });
  return names;
}

uint64_t vfiolab_now(vfiolab_host* host) { return static_cast<u64>(host->process->now().count()); }

void vfiolab_advance(vfiolab_host* host, uint64_t nanoseconds) {
  host->process->Advance(std::chrono::nanoseconds(nanoseconds));
}

uint64_t vfiolab_next_event(vfiolab_host* host) {
  const auto next = host->process->host().machine().clock().NextDeadline();
  if (!next) return ~u64{0};
  return static_cast<u64>(std::max(*next - host->process->now(), vfiolab::Time{}).count());
}

uint64_t vfiolab_take_signals(int eventfd) {
  pollfd ready{eventfd, POLLIN, 0};
  u64 count = 0;
  const bool signalled = ::poll(&ready, 1, 0) == 1 && (ready.revents & POLLIN) != 0;
  return signalled && ::read(eventfd, &count, sizeof count) == sizeof count ? count : 0;
}

int vfiolab_take_fault(vfiolab_host* host, vfiolab_fault* fault) {
  const vfiolab::Machine& machine = host->process->host().machine();
  const u64 kept = machine.faults().size(), lost = machine.fault_count() - kept;
  host->faults_taken = std::max(host->faults_taken, lost);
  if (host->faults_taken == machine.fault_count()) return 0;
  const vfiolab::FaultRecord& record = machine.faults()[host->faults_taken++ - lost];
  fault->when = static_cast<u64>(record.when.count());
  fault->iova = Raw(record.fault.at);
  fault->length = record.fault.length;
  fault->is_write = record.fault.access == vfiolab::Access::kWrite;
  Put(fault->device, record.device);
  Put(fault->reason, Text(record.fault.reason));
  return 1;
}

void vfiolab_trace(vfiolab_host* host, void (*line)(void*, const char*), void* context) {
  auto& trace = host->process->host().trace();
  if (line == nullptr) return trace.SetSink({});
  trace.SetSink([=](std::string_view text) { line(context, std::string(text).c_str()); });
}

void vfiolab_refresh_limits(vfiolab_host* host) { host->process->RefreshLimits(); }
