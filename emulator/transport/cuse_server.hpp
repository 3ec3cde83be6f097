// The CUSE transport: the nodes of one directory as character devices of the host's kernel.
#pragma once
#include <map>
#include <mutex>
#include <set>

#include "transport/cuse_channel.hpp"
#include "transport/inquiry.hpp"

namespace vfiolab {

// CUSE has no offsets and no mmap: this is for containers and groups. All is in the core's turn
// unless it says otherwise.
class CuseServer final : public OpenFileSource {
 public:
  struct Options {
    std::string path;    // of the directory, as clients know it: /dev/vfio
    std::string prefix;  // of the devices' names, which all emulators of a host share
    // Takes up what came earlier by other transports: no call must overtake one that its client
    // made before.
    std::function<void()> before_call = [] {};
  };

  // Follows `nodes`, which outlives it. Before the loop runs.
  CuseServer(EventLoop& loop, FileCalls& calls, CuseHost& host, Directory& nodes, Options options);
  ~CuseServer() override { Stop(); }

  // Makes devices of the nodes that are there. Of those that come later a failure goes to standard
  // error. Errors as CuseChannel::Open(), CuseHost::Place().
  Result<> Start();

  // Ends all connections, also for those who wait for an answer; the loop must not run any more.
  void Stop();

  // Takes up one request that waits; false when there is none.
  bool TakeRequest();

  bool Owns(const struct statx& found) const override;  // from any thread
  Result<std::shared_ptr<OpenFile>> Find(pid_t tid, int fd, const struct statx& found) override;
  // The handle behind a client's descriptor; 0 when there is none. From any thread but the core's.
  u64 Ask(pid_t tid, int fd, const struct statx& found) { return inquiry_.Ask(tid, fd, found); }

 private:
  void OnChange(const std::string& name);
  Result<> Add(const std::string& name, std::shared_ptr<DeviceNode> node);
  void Remove(const std::string& name);
  dev_t FreeNumber() const;
  void Forget(CuseChannel& channel);

  EventLoop& loop_;
  FileCalls& calls_;
  CuseHost& host_;
  Directory& nodes_;
  Options options_;
  bool started_ = false;
  u64 made_ = 0;
  std::map<std::string, std::shared_ptr<CuseChannel>> places_;  // by the node's name
  std::map<dev_t, std::shared_ptr<CuseChannel>> channels_;      // those of retired nodes, too
  mutable std::mutex mutex_;                                    // of what other threads ask for:
  std::set<dev_t> numbers_;                                     // of channels_
  Inquiry inquiry_;
};

}  // namespace vfiolab
