// A client thread in the middle of a call, as a CallContext.
#pragma once
#include <sys/stat.h>

#include <memory>
#include <set>
#include <unordered_map>

#include "process/mm.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab {

// Tells which of our open files a client's descriptor refers to.
class OpenFileFinder {
 public:
  virtual ~OpenFileFinder() = default;
  // Null when it is not ours. EBADF: not open.
  virtual Result<std::shared_ptr<OpenFile>> FindOpenFile(pid_t tid, int fd) = 0;
};

// What all callers of a transport have in common.
struct CallerServices {
  Turn& turn;
  MmCache& mms;
  OpenFileFinder& files;
  bool can_map_regions;
  std::multiset<pid_t> tracers;  // who makes the loads and stores of their tracees
  // Whether one of these traces a thread, as far as it has been asked. To be cleared when a tracer
  // comes or goes, and now and then: a thread that is gone may give its number to another.
  std::unordered_map<pid_t, bool> traced;
};

class Caller : public CallContext, private ClientMemory {
 public:
  Caller(CallerServices& services, pid_t tid, bool is_32_bit = false)
      : services_(services), tid_(tid), is_32_bit_(is_32_bit) {}

  pid_t tid() const override { return tid_; }
  ClientMemory& memory() override { return *this; }
  Result<std::shared_ptr<AddressSpace>> address_space() override;
  Result<Eventfd> ImportEventfd(int fd) override;
  Result<std::shared_ptr<OpenFile>> ImportOpenFile(int fd) override;
  bool can_map_regions() const override { return services_.can_map_regions; }
  bool can_trap() const override;
  bool is_32_bit() const override { return is_32_bit_; }

 protected:
  // How many bytes, from the first on, can be had. After it the world may have changed.
  std::size_t ReadSome(ClientAddress from, std::span<std::byte> to);
  Result<> Write(ClientAddress to, std::span<const std::byte> from) override;

 private:
  Result<> Read(ClientAddress from, std::span<std::byte> to) override;
  CallerServices& services_;
  pid_t tid_;
  bool is_32_bit_;
};

// A duplicate of the descriptor `fd` of a thread. EBADF: not open. Of a file that is not known to
// be ours or an eventfd: to close it may mean to wait for whoever serves it.
Result<UniqueFd> DuplicateDescriptor(pid_t tid, int fd);

// The same of an eventfd of this process. EINVAL: not an eventfd.
Result<Eventfd> DuplicateOwnEventfd(int fd);

// Type, device, inode and size of what that descriptor refers to; asks nobody who serves it. EBADF.
Result<struct statx> StatDescriptor(pid_t tid, int fd);

// The flags of its open file, as fcntl(F_GETFL) has them, and its position. EBADF.
struct DescriptorInfo {
  int flags = 0;
  u64 position = 0;
};
Result<DescriptorInfo> InfoOfDescriptor(pid_t tid, int fd);
// Whether it was opened with O_PATH: to most calls it is not open then.
bool IsPathOnly(pid_t tid, int fd);

}  // namespace vfiolab
