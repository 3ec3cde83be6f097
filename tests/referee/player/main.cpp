// Plays traces with real system calls: player [-m DEVICES] [-o DIRECTORY] TRACE...
// Without -o the results go to the standard output. A directory stands for the traces in it.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <vector>

#include "play.hpp"

namespace {

int Usage() {
  std::cerr << "usage: player [-m DEVICES] [-o DIRECTORY] TRACE...\n";
  return 2;
}

bool PlayFile(const player::Machine& machine, const std::string& path, const char* directory) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) {
    std::cerr << "player: cannot read " << path << "\n";
    return false;
  }
  const std::string result = player::Play(machine, text.str());
  if (directory == nullptr) {
    std::cout << result << std::flush;
    return true;
  }
  std::ofstream out(std::filesystem::path(directory) / std::filesystem::path(path).filename());
  out << result;
  return out.good();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2 && std::strcmp(argv[1], "--resume") == 0) return player::Resume(argc, argv);
  const char* devices = nullptr;
  const char* directory = nullptr;
  for (int option; (option = getopt(argc, argv, "m:o:")) != -1;) {
    if (option == 'm')
      devices = optarg;
    else if (option == 'o')
      directory = optarg;
    else
      return Usage();
  }
  if (optind == argc) return Usage();
  player::Machine machine;
  if (devices != nullptr && !machine.Load(devices)) {
    std::cerr << "player: cannot read " << devices << "\n";
    return 2;
  }
  std::vector<std::string> traces;
  for (int i = optind; i < argc; ++i) {
    if (!std::filesystem::is_directory(argv[i])) {
      traces.emplace_back(argv[i]);
      continue;
    }
    std::vector<std::string> inside;
    for (const auto& entry : std::filesystem::directory_iterator(argv[i]))
      inside.push_back(entry.path());
    std::ranges::sort(inside);
    traces.insert(traces.end(), inside.begin(), inside.end());
  }
  bool good = true;
  for (const std::string& trace : traces) good = PlayFile(machine, trace, directory) && good;
  return good ? 0 : 1;
}
