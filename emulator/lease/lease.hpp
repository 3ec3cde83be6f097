// Which process has the emulated host that is alive: one at a time, from its first open file to the
// last. Others reach it by a socket.
#pragma once
#include <string>

#include "base/bytes.hpp"
#include "base/unique_fd.hpp"

namespace vfiolab::lease {

class Lease {
 public:
  // `directory` is one that all processes share.
  explicit Lease(std::string directory);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  // Whether this process has it, now or already. The kernel takes it back when the process ends or
  // runs another program, and has left no copy of itself; a child has none.
  bool Take();
  void Return();
  bool held() const { return number_ != 0; }
  // Of the lease that is held; never that of another.
  u64 number() const { return number_; }
  // Where others connect; -1: no lease was taken yet.
  int listener() const { return listener_.get(); }
  // In a child: the parent's are not its own.
  void Forget();

  // A connection to the process that has the lease; none: no other has. Waits for one that is about
  // to.
  UniqueFd Connect() const;

 private:
  void OpenLock();
  bool Listen();
  bool IsElsewhere() const;

  std::string directory_;
  UniqueFd lock_;
  UniqueFd listener_;
  u64 number_ = 0;
};

}  // namespace vfiolab::lease
