// A machine of a topology with what its kernel shows to programs: the tree of nodes below /dev and
// /sys. Whoever serves it to clients adds the rest.
#pragma once
#include <memory>
#include <string>

#include "interfaces/interfaces.hpp"
#include "machine/door.hpp"
#include "machine/machine.hpp"
#include "topology/spec.hpp"

namespace vfiolab {

class EmulatedHost {
 public:
  // `spec` has been checked. `processors` is how many CPUs /sys tells of.
  EmulatedHost(const topology::TopologySpec& spec, std::span<const Model> models,
               Environment& environment, unsigned processors);

  // The topology could not be built; empty when all is well. Else nothing below may be used.
  const std::string& error() const { return error_; }

  Trace& trace() { return trace_; }
  Machine& machine() { return machine_; }
  const Machine& machine() const { return machine_; }
  Door& door() { return door_; }
  Interfaces& interfaces() { return *interfaces_; }
  const Interfaces& interfaces() const { return *interfaces_; }
  // "dev", "sys", and "faults": the machine's faults as text.
  const std::shared_ptr<Directory>& root() { return root_; }

 private:
  Trace trace_;
  Machine machine_;
  Door door_{machine_};
  std::unique_ptr<Interfaces> interfaces_;
  std::shared_ptr<Directory> root_ = std::make_shared<Directory>();
  std::string error_;
};

}  // namespace vfiolab
