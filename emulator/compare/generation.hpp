// An interface as the player knows it: which calls a program of its time makes for each deed.
#pragma once
#include <memory>
#include <string>

#include "compare/stage.hpp"

namespace vfiolab::compare {

// What a process has opened for a device.
struct Handle {
  int node = -1;    // of the device, or of its group
  int device = -1;  // where the node is that of a group
  int space = -1;   // what the device's address space is named by, if anything
  // The descriptors that are the device's own, in the order in which they were opened.
  std::vector<int> opened;
};

class Generation {
 public:
  explicit Generation(Stage& stage) : stage_(stage) {}
  virtual ~Generation() = default;

  // The first call that fails ends a deed. Handles keep what was opened before.
  virtual Result<> Open(Process& process, const std::string& device, Handle& handle) = 0;
  virtual Result<> GetSpace(Process& process, const std::string& device, Handle& handle) = 0;
  virtual Result<> Share(Process& process, const std::string& device, Handle& handle,
                         Handle& with) = 0;
  virtual Result<> Map(Process& process, Handle& handle, u64 iova, u64 address) = 0;
  virtual Result<> Unmap(Process& process, Handle& handle, u64 iova, u64 address) = 0;
  // A group that one process has opened for one device is open for all of the group.
  virtual bool nodes_are_groups() const { return true; }

 protected:
  static int Keep(Handle& handle, long fd) {
    handle.opened.push_back(static_cast<int>(fd));
    return handle.opened.back();
  }

  Stage& stage_;
};

// One row of the table: an interface, or a policy of one.
struct GenerationRow {
  std::string name;
  Kernel kernel;
  std::unique_ptr<Generation> (*make)(Stage& stage);
};

// In the order of time.
std::vector<GenerationRow> Generations();

}  // namespace vfiolab::compare
