#include "hostile/world.hpp"

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace hostile {

World World::Read(const std::string& file, const std::string& root) {
  World world{root, {}};
  std::ifstream lines(file);
  for (Function f; lines >> f.group >> f.address >> f.role;) world.functions.push_back(f);
  if (world.functions.empty()) {
    fprintf(stderr, "%s describes no machine\n", file.c_str());
    exit(2);
  }
  return world;
}

}  // namespace hostile
