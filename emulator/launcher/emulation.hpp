// The whole emulator, put together: an emulated host, and what serves it.
#pragma once
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "emulated_host/emulated_host.hpp"
#include "transport/cuse_server.hpp"
#include "transport/fuse_server.hpp"
#include "transport/host_environment.hpp"
#include "transport/notifier.hpp"

namespace vfiolab::launcher {

class Emulation {
 public:
  // Builds the machine of `spec`. Starts a watchdog thread: namespaces are entered before.
  explicit Emulation(const topology::TopologySpec& spec);
  ~Emulation();

  // The topology could not be built; empty when all is well.
  const std::string& error() const { return host_.error(); }

  // Writes every input and output of the core to `path`. EACCES and the like: not writable.
  Result<> TraceTo(const std::string& path);
  // Mounts the tree at the directory and serves it from threads of its own until Stop(). With
  // `cuse` the nodes of /dev/vfio are character devices.
  Result<> Serve(const std::string& mount_point, FuseServer::Options options, bool cuse);
  // Does not wait for threads that a client's memory holds back: if there may be any, this object
  // is not to be destroyed.
  void Stop();

  FuseServer& fuse() { return *fuse_; }
  Notifier& notifier() { return *notifier_; }
  EventLoop& loop() { return *loop_; }

 private:
  bool WantsIoctls() const;
  void AddWantedCalls();
  Result<> StartCuse();
  // Whether some device has registers that can be mapped.
  bool HasRegisters() const;
  bool MovesMappings() const;

  HostEnvironment environment_;
  Turn turn_;
  std::ofstream trace_file_;
  EmulatedHost host_;
  std::unique_ptr<EventLoop> loop_;
  std::unique_ptr<FileCalls> calls_;
  std::unique_ptr<FuseServer> fuse_;
  std::unique_ptr<CuseHost> cuse_host_;
  std::unique_ptr<CuseServer> cuse_;
  std::unique_ptr<Notifier> notifier_;
  std::thread core_;
};

}  // namespace vfiolab::launcher
