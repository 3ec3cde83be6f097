#include "process/thread_status.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <memory>

#include "base/unique_fd.hpp"

namespace vfiolab {

std::vector<int> NumbersIn(const std::string& directory) {
  std::vector<int> numbers;
  const std::unique_ptr<DIR, int (*)(DIR*)> open(::opendir(directory.c_str()), &::closedir);
  while (const dirent* entry = open ? ::readdir(open.get()) : nullptr)
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
      numbers.push_back(std::atoi(entry->d_name));
  return numbers;
}

ThreadStatus::ThreadStatus(pid_t tid) : tid_(tid) {
  const std::string path = "/proc/" + std::to_string(tid) + "/status";
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, 4096> part{};
  for (ssize_t got = 1; file && got > 0;) {  // it fails when the thread has gone meanwhile
    got = ::read(file.get(), part.data(), part.size());
    if (got > 0) text_.append(part.data(), static_cast<std::size_t>(got));
  }
}

std::string_view ThreadStatus::Field(std::string_view name) const {
  const std::string key = "\n" + std::string(name) + ":\t";
  const std::size_t at = text_.find(key);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + key.size();
  return std::string_view(text_).substr(begin, text_.find('\n', begin) - begin);
}

u64 ThreadStatus::Number(std::string_view name, int base) const {
  const std::string_view field = Field(name);
  u64 number = 0;
  std::from_chars(field.data(), field.data() + field.size(), number, base);
  return number;
}

u32 ThreadStatus::own_process() const {
  // One for each namespace, the innermost last.
  const std::string_view all = Field("NStgid");
  const std::string_view own = all.substr(all.rfind('\t') + 1);
  u32 number = 0;
  std::from_chars(own.data(), own.data() + own.size(), number);
  return number;
}

PendingSignal ThreadStatus::pending() const {
  const u64 wanted = ~Number("SigBlk", 16);
  if (Number("SigPnd", 16) & wanted) return PendingSignal::kOfThread;
  const u64 of_process = Number("ShdPnd", 16) & wanted;
  if (of_process == 0) return PendingSignal::kNone;
  if (Number("Threads", 10) == 1) return PendingSignal::kOfThread;
  return OthersBlockOneOf(of_process) ? PendingSignal::kOfNoOther : PendingSignal::kOfProcess;
}

bool ThreadStatus::OthersBlockOneOf(u64 signals) const {
  for (const pid_t tid : NumbersIn("/proc/" + std::to_string(process()) + "/task"))
    if (tid != tid_) signals &= ThreadStatus(tid).Number("SigBlk", 16);
  return signals != 0;
}

}  // namespace vfiolab
