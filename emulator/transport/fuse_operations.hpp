// The FUSE operations: each finds its file and passes the call through the Door.
#pragma once
#include "transport/fuse_server.hpp"

namespace vfiolab {

struct FuseOperations {
  static fuse_lowlevel_ops Table();
};

// The right to answer one request: whoever claims it first answers, the others stay silent.
class FuseServer::Answer {
 public:
  enum class Kind { kRead, kWrite, kIoctl };
  Answer(fuse_req_t req, Kind of) : kind(of), req_(req) {}
  // The request, once; then null.
  fuse_req_t Claim() { return claimed_.exchange(true) ? nullptr : req_; }
  // Only while unclaimed.
  fuse_req_t request() const { return req_; }

  const Kind kind;
  std::vector<std::byte> data;  // of a read

 private:
  fuse_req_t req_;
  std::atomic<bool> claimed_{false};
};

}  // namespace vfiolab
