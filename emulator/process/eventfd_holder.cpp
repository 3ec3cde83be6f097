#include "process/eventfd_holder.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace vfiolab {
namespace {

namespace fs = std::filesystem;

std::string MarkOf(const std::string& process, const std::string& fd) {
  std::ifstream info("/proc/" + process + "/fdinfo/" + fd);
  for (std::string line; std::getline(info, line);)
    if (line.starts_with("eventfd-id:")) return line;
  return {};
}

bool IsNumber(const std::string& name) {
  return name.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

bool EventfdHolder::Exists() {
  if (mark_.empty()) mark_ = MarkOf("self", std::to_string(eventfd_));
  if (mark_.empty()) return true;
  return (!process_.empty() && IsAt(process_, fd_)) || Search();
}

std::size_t EventfdHolder::CopiesHere() const {
  const std::string mark = MarkOf("self", std::to_string(eventfd_));
  std::size_t copies = 0;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc/self/fd", error))
    if (MarkOf("self", entry.path().filename()) == mark) ++copies;
  return copies;
}

bool EventfdHolder::IsAt(const std::string& process, const std::string& fd) const {
  std::error_code error;
  const fs::path target = fs::read_symlink("/proc/" + process + "/fd/" + fd, error);
  return !error && target == "anon_inode:[eventfd]" && MarkOf(process, fd) == mark_;
}

bool EventfdHolder::Search() {
  constexpr int kMost = 50'000;  // descriptors: others wait meanwhile
  int seen = 0;
  std::error_code error;
  const std::string self = std::to_string(::getpid());
  for (fs::directory_iterator at("/proc", error), end; !error && at != end; at.increment(error)) {
    const std::string process = at->path().filename();
    if (!IsNumber(process) || process == self) continue;
    std::error_code gone;  // the process, or the right to look
    for (fs::directory_iterator fd(at->path() / "fd", gone); !gone && fd != end;
         fd.increment(gone)) {
      if (++seen > kMost) return true;
      if (!IsAt(process, fd->path().filename())) continue;
      process_ = process;
      fd_ = fd->path().filename();
      return true;
    }
  }
  return false;
}

}  // namespace vfiolab
