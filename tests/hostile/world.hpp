// The machine as the campaign describes it to its clients.
#pragma once
#include <string>
#include <vector>

namespace hostile {

struct Function {
  std::string group, address, role;
};

struct World {
  std::string root;  // "", or where a session is mounted
  std::vector<Function> functions;

  // Lines of "GROUP ADDRESS ROLE".
  static World Read(const std::string& file, const std::string& root);

  std::string Container() const { return root + "/dev/vfio/vfio"; }
  std::string Group(const Function& f) const { return root + "/dev/vfio/" + f.group; }
  std::string Pci(const std::string& path) const { return root + "/sys/bus/pci/" + path; }
};

}  // namespace hostile
