#include "process/program.hpp"

#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/unique_fd.hpp"

namespace vfiolab {

std::string FindProgram(const std::string& command) {
  if (command.find('/') != command.npos) return command;
  const char* path = ::getenv("PATH");
  for (std::string_view left = path == nullptr ? "/bin:/usr/bin" : path; !left.empty();) {
    const std::size_t colon = left.find(':');
    const std::string candidate = std::string(left.substr(0, colon)) + "/" + command;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
    left.remove_prefix(colon == left.npos ? left.size() : colon + 1);
  }
  return command;
}

bool IsStatic(const std::string& program) {
  const UniqueFd file(::open(program.c_str(), O_RDONLY | O_CLOEXEC));
  Elf64_Ehdr header{};
  if (!file || ::pread(file.get(), &header, sizeof header, 0) != sizeof header ||
      std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return false;
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr part{};
    const auto at = static_cast<off_t>(header.e_phoff + i * sizeof part);
    if (::pread(file.get(), &part, sizeof part, at) != sizeof part) return false;
    if (part.p_type == PT_INTERP) return false;
  }
  return true;
}

}  // namespace vfiolab
