// A machine with the devices of a scenario, and the processes that make calls on it.
#pragma once
#include <memory>

#include "compare/process.hpp"
#include "compare/scenario.hpp"
#include "interfaces/interfaces.hpp"
#include "machine/door.hpp"

namespace vfiolab::compare {

class Stage {
 public:
  Stage(const Scenario& scenario, const Kernel& kernel);
  ~Stage();

  const Kernel& kernel() const;
  Process& process(unsigned number);
  DeviceSlot& slot(const std::string& device);
  unsigned group(const std::string& device);
  // That of the device's class device; empty where it has none.
  std::string node(const std::string& device);

  // System calls, which are counted: a descriptor, the value, or the errno and its reason.
  Result<int> Open(Process& process, const std::string& path);
  Result<long> Ioctl(Process& process, int fd, u32 command, u64 argument = 0);
  template <class T>
  Result<long> IoctlWith(Process& process, int fd, u32 command, const T& argument) {
    TRY(process.Write(ClientAddress{Process::kArguments}, BytesOf(argument)));
    return Ioctl(process, fd, command, Process::kArguments);
  }
  Result<long> IoctlWithName(Process& process, int fd, u32 command, const std::string& name);
  void Close(Process& process, int fd);
  unsigned calls() const { return calls_; }

 private:
  class NoEnvironment;
  Result<long> Finish(Process& process, Reply reply);

  std::unique_ptr<NoEnvironment> environment_;
  Trace trace_;
  std::map<std::string, Bdf> devices_;
  Machine machine_;
  std::unique_ptr<Interfaces> interfaces_;
  Directory dev_vfio_, dev_;
  Door door_;
  std::map<unsigned, std::unique_ptr<Process>> processes_;
  unsigned calls_ = 0;
};

}  // namespace vfiolab::compare
