// The kernel's side of CUSE over socket pairs, for a process that is emulator and client at once.
#pragma once
#include <linux/fuse.h>

#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "transport/cuse_host.hpp"

namespace vfiolab::test {

class FakeCuse final : public CuseHost {
 public:
  using Bytes = std::vector<std::byte>;
  struct Answer {
    int error = 0;  // as the client gets it
    Bytes data;
  };
  struct Device {
    std::string name;
    dev_t number;
    fuse_in_header header;  // of INIT, and
    cuse_init_out answer;   // what came back
  };

  FakeCuse();
  ~FakeCuse() override;

  // What the emulator asks of a host. The first packet is there as soon as it connects.
  Result<UniqueFd> Connect() override;
  Result<dev_t> NumberOf(const std::string& device) override;
  Result<> Place(const std::string& name, mode_t permissions, dev_t number) override;
  void TakeAway(const std::string& name) override;
  void Ask(int fd, u32 command, u64 argument) override;

  // The test's side. A node that is placed: its number; 0 when there is none.
  dev_t NodeNumber(const std::string& name);
  mode_t NodePermissions(const std::string& name);
  Device DeviceOf(dev_t number);
  bool IsClosed(dev_t number);  // the emulator has ended the connection
  // The kernel ends it.
  void Abort(dev_t number);

  // One request to the device; returns when it is answered, or the connection ended (ENOTCONN).
  Answer Call(dev_t number, u32 opcode, const Bytes& payload);
  // The two halves of it.
  u64 Send(dev_t number, u32 opcode, const Bytes& payload);
  Answer Await(dev_t number, u64 unique);
  bool IsAnswered(dev_t number, u64 unique);
  // A packet just as it is.
  void SendRaw(dev_t number, const Bytes& packet);

  // A client's descriptor of the first device, whose number is that of /dev/null, open as `handle`.
  UniqueFd DescriptorOf(u64 handle);

  // Of the next INIT.
  u32 init_major = FUSE_KERNEL_VERSION;
  u32 init_opcode = CUSE_INIT;
  bool silent = false;   // no INIT at all
  bool refuses = false;  // makes no device

 private:
  struct Channel {
    UniqueFd fd;
    Device device{};
    std::map<u64, Answer> answers;
    bool closed = false;
    std::thread reader;
  };
  void ReadAnswers(Channel& channel);
  Channel& Of(dev_t number);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<Channel>> channels_;
  std::map<std::string, std::pair<mode_t, dev_t>> nodes_;
  u64 last_unique_ = 1;
  std::vector<u64> handles_;  // of descriptors that were made
};

template <class T>
FakeCuse::Bytes PayloadBytes(const T& payload) {
  FakeCuse::Bytes bytes(sizeof payload);
  std::memcpy(bytes.data(), &payload, sizeof payload);
  return bytes;
}

}  // namespace vfiolab::test
