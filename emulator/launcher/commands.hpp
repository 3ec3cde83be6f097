// What the command line does. Each returns the exit status: 0, the client's own, or
//   2 the topology is wrong · 125 the emulator could not start · 126, 127 the client could not
#pragma once
#include <string>
#include <vector>

namespace vfiolab::launcher {

struct RunOptions {
  std::string topology;  // or
  std::string session;   // the name of a running `serve`
  std::string trace;     // a file for the core's inputs and outputs; empty for none
  bool cuse = false;     // nodes of /dev/vfio are character devices
  bool trap = true;      // trace the client, so that registers can be mapped
  bool exact = false;    // hand over what is else left to FUSE, at a cost for each read and write
  bool in_process = false;  // the machine lives in the client's own process
  std::vector<std::string> command;
};
int Run(const RunOptions& options);

struct ServeOptions {
  std::string topology;
  std::string mount_point;  // empty: a directory of the session's own
  std::string session;      // empty: the topology's name
  std::string trace;
  bool cuse = false;
};
int Serve(const ServeOptions& options);

int Check(const std::string& topology);
int Show(const std::string& topology, bool json);
int ListModels();
// Plays a scenario by each interface and prints what came of it.
int Compare(const std::string& scenario);

}  // namespace vfiolab::launcher
