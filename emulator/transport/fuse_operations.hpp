// The FUSE operations: each finds its file and passes the call through the Door.
#pragma once
#include "transport/fuse_server.hpp"

namespace vfiolab {

struct FuseOperations {
  static fuse_lowlevel_ops Table();
  static FileCalls& CallsOf(fuse_req_t req);
  static std::shared_ptr<Request> NewRequest(fuse_req_t req);
};

// A request as libfuse has it.
class FuseRequest final : public Request {
 public:
  FuseRequest(FileCalls& calls, fuse_req_t req)
      : Request(KeyOf(req), fuse_req_ctx(req)->pid), calls_(calls), req_(req) {}
  void AnswerRead(std::span<const std::byte> data) override;
  void AnswerWrite(std::size_t count) override;
  void AnswerIoctl(int result) override;
  void AnswerError(int code) override;
  void ExpectInterrupt() override;

 private:
  static Key KeyOf(fuse_req_t req) { return {fuse_req_userdata(req), reinterpret_cast<u64>(req)}; }

  FileCalls& calls_;
  fuse_req_t req_;
};

}  // namespace vfiolab
