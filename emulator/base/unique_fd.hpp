// An owned descriptor.
#pragma once
#include <unistd.h>

#include <utility>

namespace vfiolab {

// How a library in somebody else's program keeps its descriptors apart from the program's.
struct DescriptorKeeper {
  int (*keep)(int fd);  // the number that it shall have
  void (*close)(int fd);
};
inline const DescriptorKeeper* descriptor_keeper = nullptr;

class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(Kept(fd)) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }
  void Reset(int fd = -1) {
    if (fd_ >= 0) descriptor_keeper == nullptr ? void(::close(fd_)) : descriptor_keeper->close(fd_);
    fd_ = Kept(fd);
  }

 private:
  static int Kept(int fd) {
    return fd < 0 || descriptor_keeper == nullptr ? fd : descriptor_keeper->keep(fd);
  }

  int fd_ = -1;
};

}  // namespace vfiolab
