// What CUSE takes of the host: connections to its kernel, and a place for nodes.
#pragma once
#include <sys/types.h>

#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace vfiolab {

class CuseHost {
 public:
  virtual ~CuseHost() = default;
  // A connection that will become one device; it does not block.
  virtual Result<UniqueFd> Connect() = 0;
  // The number of the device with this name, as the kernel gave it. ENOENT: it made none.
  virtual Result<dev_t> NumberOf(const std::string& device) = 0;
  // Makes a node for clients, or takes it away.
  virtual Result<> Place(const std::string& name, mode_t permissions, dev_t number) = 0;
  virtual void TakeAway(const std::string& name) = 0;
  // ioctl(fd, command, argument); returns when it has been answered. From any thread but the
  // core's.
  virtual void Ask(int fd, u32 command, u64 argument) = 0;
};

// The host's own kernel.
class KernelCuse final : public CuseHost {
 public:
  // ENOENT, ENODEV, EACCES: CUSE cannot be used; the reason says what to do.
  static Result<> Check();

  // Mounts a file system for nodes over the existing directory. It goes with the mount below. EPERM
  // and the like: the reason says which privilege is missing.
  static Result<std::unique_ptr<KernelCuse>> Mount(const std::string& directory);

  Result<UniqueFd> Connect() override;
  Result<dev_t> NumberOf(const std::string& device) override;
  Result<> Place(const std::string& name, mode_t permissions, dev_t number) override;
  void TakeAway(const std::string& name) override;
  void Ask(int fd, u32 command, u64 argument) override;

 private:
  explicit KernelCuse(UniqueFd directory) : directory_(std::move(directory)) {}
  UniqueFd directory_;  // its path leads through files that the core serves
};

}  // namespace vfiolab
