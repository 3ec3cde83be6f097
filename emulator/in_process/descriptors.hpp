// Open files of the emulator, by numbers of this process.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "vfs/open_file.hpp"

namespace vfiolab::in_process {

// An open file as its descriptors share it. A call keeps it: another thread may close it meanwhile.
struct OpenDescription {
  std::shared_ptr<OpenFile> file;
  std::string path;  // by which it was opened; empty: an ioctl has opened it
  int flags;         // of open
};

// Each number is also one of the host's kernel, which gives it to nobody else meanwhile.
class Descriptors {
 public:
  using Shared = std::shared_ptr<OpenDescription>;

  Descriptors() = default;
  ~Descriptors();
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  // EMFILE, ENFILE.
  Result<int> Add(OpenDescription opened);
  // `made` is a number that the kernel has made of `fd`.
  void Share(int fd, int made) { Put(made, Find(fd)); }
  // Null when it is none of ours.
  const Shared& Find(int fd) const {
    const auto at = static_cast<std::size_t>(fd);  // a negative one is beyond all
    return at < opened_.size() ? opened_[at] : none_;
  }
  // Closes it, and returns the file if it was its last number.
  std::shared_ptr<OpenFile> Remove(int fd);

 private:
  void Put(int fd, Shared opened);

  std::vector<Shared> opened_;  // by number
  Shared none_;
};

}  // namespace vfiolab::in_process
