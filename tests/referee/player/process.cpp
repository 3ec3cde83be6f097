// Operations on the client process itself, and on files that are not VFIO's.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "client.hpp"

namespace player {
namespace {

constexpr useconds_t kSettleUs = 5000;

std::string Quoted(std::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '\n' ? std::string("\\n") : std::string(1, c);
  return quoted + "\"";
}

// "\n" stands for a newline, as Quoted writes it.
std::string Unquoted(std::string text) {
  for (std::size_t at = 0; (at = text.find("\\n", at)) != text.npos;) text.replace(at, 2, "\n");
  return text;
}

std::string ReadLinkName(const char* path) {
  char target[PATH_MAX];
  const ssize_t length = readlink(path, target, sizeof target);
  if (length < 0) return ErrnoName(errno);
  const std::string_view text(target, static_cast<std::size_t>(length));
  return std::string(text.substr(text.rfind('/') + 1));
}

std::string WriteText(const char* path, const std::string& text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoName(errno);
  const ssize_t written = write(fd, text.data(), text.size());
  const int error = errno;
  close(fd);
  return written < 0 ? ErrnoName(error) : "0";
}

std::string ReadText(const char* path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoName(errno);
  char text[4096];
  const ssize_t length = read(fd, text, sizeof text);
  const int error = errno;
  close(fd);
  if (length < 0) return ErrnoName(error);
  return Quoted({text, static_cast<std::size_t>(length)});
}

}  // namespace

std::string Client::RunOnProcess(const Line& line) {
  if (line.operation == "settle") {
    usleep(kSettleUs);
    return "ok";
  }
  if (line.operation == "drop") return Drop(line);
  const std::string path = machine_.Substitute(Word(line, 0));
  if (line.operation == "echo")
    return WriteText(path.c_str(), Unquoted(machine_.Substitute(Word(line, 1))));
  if (line.operation == "cat") return ReadText(path.c_str());
  if (line.operation == "link") {
    const std::string name = ReadLinkName(path.c_str());
    const auto number = path.ends_with("/iommu_group") ? ParseNumber(name) : std::nullopt;
    return number ? machine_.GroupName(static_cast<unsigned>(*number)) : name;
  }
  if (path != "memlock") throw Nonsense{};
  const std::uint64_t bytes = Number(Word(line, 1));
  const rlimit limit{bytes, bytes};
  return setrlimit(RLIMIT_MEMLOCK, &limit) == 0 ? "0" : ErrnoName(errno);
}

std::string Client::Drop(const Line& line) {
  static const std::map<std::string_view, unsigned> kCapabilities{
      {"CAP_IPC_LOCK", CAP_IPC_LOCK},
      {"CAP_SYS_ADMIN", CAP_SYS_ADMIN},
      {"CAP_SYS_RAWIO", CAP_SYS_RAWIO},
      {"CAP_SYS_RESOURCE", CAP_SYS_RESOURCE}};
  const auto capability = kCapabilities.find(Word(line, 0));
  if (capability == kCapabilities.end()) throw Nonsense{};
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2]{};
  if (syscall(SYS_capget, &header, data) != 0) return ErrnoName(errno);
  for (__user_cap_data_struct& half : data) half.inheritable = 0;
  data[capability->second / 32].effective &= ~(1u << capability->second % 32);
  data[capability->second / 32].permitted &= ~(1u << capability->second % 32);
  return syscall(SYS_capset, &header, data) == 0 ? "0" : ErrnoName(errno);
}

}  // namespace player
