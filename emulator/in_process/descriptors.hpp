// Open files of the emulator, by numbers of this process.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "vfs/open_file.hpp"

namespace vfiolab::in_process {

// An open file as its descriptors share it. A call keeps it: another thread may close it meanwhile.
struct OpenDescription {
  std::shared_ptr<OpenFile> file;
  std::string path;  // by which it was opened; empty: an ioctl has opened it
  int flags;         // of open
  u64 number = 0;    // by which other processes know it
};

// Each number is also one of the host's kernel, which gives it to nobody else meanwhile.
class Descriptors {
 public:
  using Shared = std::shared_ptr<OpenDescription>;

  Descriptors() = default;
  ~Descriptors();
  Descriptors(const Descriptors&) = delete;
  Descriptors& operator=(const Descriptors&) = delete;

  // What the kernel's file is called behind a descriptor (memfd_create).
  using Name = std::function<std::string(const OpenDescription&)>;
  void set_name(Name name) { name_ = std::move(name); }

  u64 NewNumber() { return ++last_; }
  // EMFILE, ENFILE.
  Result<int> Add(OpenDescription opened);
  // A number that is there already.
  void Put(int fd, Shared opened);
  // `made` is a number that the kernel has made of `fd`.
  void Share(int fd, int made) { Put(made, Find(fd)); }
  // Null when it is none of ours.
  const Shared& Find(int fd) const {
    const auto at = static_cast<std::size_t>(fd);  // a negative one is beyond all
    return at < opened_.size() ? opened_[at] : none_;
  }
  // Forgets the number, which the caller closes; the file if nobody else has that.
  std::shared_ptr<OpenFile> Remove(int fd);
  // They are another process's.
  void Forsake() { opened_.clear(), count_ = 0; }
  // Each number that there is.
  std::vector<int> numbers() const;
  std::size_t count() const { return count_; }

 private:
  std::vector<Shared> opened_;  // by number
  Shared none_;
  std::size_t count_ = 0;
  u64 last_ = 0;
  Name name_ = [](const OpenDescription&) { return "vfiolab"; };
};

}  // namespace vfiolab::in_process
