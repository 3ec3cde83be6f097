#include "transport/placement.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace vfiolab {

void Placement::Follow(pid_t tid) {
  std::FILE* file = std::fopen(fmt::format("/proc/{}/stat", tid).c_str(), "re");
  if (file == nullptr) return;
  char line[1024] = {};
  const bool read = std::fgets(line, sizeof line, file) != nullptr;
  std::fclose(file);
  // Field 39, counted from behind the name, which may hold anything: state is field 3.
  const char* at = read ? std::strrchr(line, ')') : nullptr;
  for (int field = 2; at != nullptr && field < 39; ++field) at = std::strchr(at + 1, ' ');
  if (at == nullptr) return;
  const int cpu = std::atoi(at);
  spin_ = false;
  if (cpu == ::sched_getcpu()) return;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(tid, sizeof allowed, &allowed) != 0) return;
  if (CPU_COUNT(&allowed) > 1) {
    spin_ = true;  // it would be moved away again as soon as this thread came near
    return;
  }
  cpu_set_t only;
  CPU_ZERO(&only);
  CPU_SET(static_cast<std::size_t>(cpu), &only);
  ::sched_setaffinity(0, sizeof only, &only);
}

}  // namespace vfiolab
