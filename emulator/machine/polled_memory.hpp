// A region that is shared memory (BarMapping::kPoll), and what its device knows of it.
#pragma once
#include <memory>
#include <vector>

#include "device/bar.hpp"
#include "machine/environment.hpp"

namespace vfiolab {

class Machine;

// The machine knows it as long as it lives.
class PolledMemory {
 public:
  // `name` is what the trace calls the region.
  PolledMemory(Machine& machine, const DeviceMemory& memory, BarHandler& region, std::string name);
  ~PolledMemory();
  PolledMemory(const PolledMemory&) = delete;
  PolledMemory& operator=(const PolledMemory&) = delete;

  // From any thread: whether there may be something to hear.
  bool HasChanged() const;
  // Tells the device of each word that it does not know.
  void Hear();
  // What is there now, the device knows.
  void Forget();

 private:
  void HearWord(std::size_t at);

  Machine& machine_;
  BarHandler& region_;
  std::string name_;
  std::span<std::byte> words_;
  std::vector<std::byte> known_;
  std::unique_ptr<MemoryWatch> watch_;
};

}  // namespace vfiolab
