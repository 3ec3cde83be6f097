// Open files of the emulator, by numbers of this process.
#pragma once
#include <memory>
#include <vector>

#include "vfs/open_file.hpp"

namespace vfiolab::in_process {

// Each number is also one of the host's kernel, which gives it to nobody else meanwhile.
class Descriptors {
 public:
  Descriptors() = default;
  ~Descriptors();
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  // EMFILE, ENFILE.
  Result<int> Add(std::shared_ptr<OpenFile> file);
  // Null when it is none of ours.
  const std::shared_ptr<OpenFile>& Find(int fd) const {
    const auto at = static_cast<std::size_t>(fd);  // a negative one is beyond all
    return at < files_.size() ? files_[at] : none_;
  }
  // Closes it; null when it is none of ours.
  std::shared_ptr<OpenFile> Remove(int fd);

 private:
  std::vector<std::shared_ptr<OpenFile>> files_;  // by number
  std::shared_ptr<OpenFile> none_;
};

}  // namespace vfiolab::in_process
