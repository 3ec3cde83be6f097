// Who else has an eventfd open. The kernel learns when the last descriptor of one is closed; a
// process that keeps a copy of its own does not, and has to look.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <string>

namespace vfiolab {

class EventfdHolder {
 public:
  // `eventfd`: a descriptor of this process, as long as this lives.
  explicit EventfdHolder(int eventfd) : eventfd_(eventfd) {}
  // Whether another process has it open. Looks through /proc, or only at who had it last time; true
  // where there are too many descriptors to look at. Not found is one that is on its way through a
  // socket, or of a process whose first thread has ended.
  bool Exists();
  // How many descriptors of this process refer to it.
  std::size_t CopiesHere() const;

 private:
  bool IsAt(const std::string& process, const std::string& fd) const;
  bool Search();

  int eventfd_;
  std::string mark_;  // the line of fdinfo that no other eventfd has; empty before Linux 5.2
  std::string process_, fd_;  // where it was found last
};

}  // namespace vfiolab
