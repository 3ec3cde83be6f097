// The machine as /sys shows it: PCI devices, IOMMU groups, and the modules that drive them.
#pragma once
#include "machine/machine.hpp"
#include "vfs/node.hpp"

namespace vfiolab::sysfs {

// Fills `sys`, which stands for /sys and must hold none of it yet. The machine is complete (BARs
// are placed, bridges have their config space, groups their members) and outlives `sys`. What can
// change later is looked up when it is read. `cpus` is how many CPUs the devices are near to: those
// that clients run on, numbered from 0. `nodes` stands for /dev/vfio and outlives `sys`: where its
// nodes have numbers, `sys` shows those.
void AddSysfs(Machine& machine, Directory& sys, unsigned cpus = 1,
              const Directory* nodes = nullptr);

}  // namespace vfiolab::sysfs
