// Operations on descriptors, but for ioctls.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <sstream>

#include "client.hpp"

namespace player {
namespace {

constexpr std::chrono::seconds kPatience{2};
constexpr std::uint64_t kConfigRegion = 7, kOffsetMask = (1ull << 40) - 1;

// QEMU's edu device.
constexpr std::uint64_t kEduSource = 0x80, kEduTarget = 0x88, kEduCount = 0x90, kEduCommand = 0x98;
constexpr std::uint64_t kEduBuffer = 0x40000, kEduBufferSize = 4096;
constexpr std::uint64_t kEduStart = 1, kEduToMemory = 2;

bool PollRegister(int fd, std::uint64_t offset, std::uint32_t mask, std::uint32_t value) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    // On a busy machine this process may not run for seconds: the last look is after the end.
    const bool last = std::chrono::steady_clock::now() >= end;
    std::uint32_t now = 0;
    if (pread(fd, &now, sizeof now, static_cast<off_t>(offset)) == sizeof now &&
        (now & mask) == value)
      return true;
    if (last) return false;
    usleep(1000);
  }
}

std::string Number(std::uint64_t value) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%lx", value);
  return text;
}

// What a descriptor is ready for, now.
std::string Ready(int fd) {
  pollfd ready{fd, POLLIN | POLLOUT | POLLPRI, 0};
  if (poll(&ready, 1, 0) < 0) return ErrnoName(errno);
  std::string text;
  for (const auto& [bit, name] : {std::pair{POLLIN, "in"},
                                  {POLLOUT, "out"},
                                  {POLLPRI, "pri"},
                                  {POLLERR, "err"},
                                  {POLLHUP, "hup"},
                                  {POLLNVAL, "nval"}})
    if (ready.revents & bit) text += (text.empty() ? "" : ",") + std::string(name);
  return text.empty() ? "none" : text;
}

}  // namespace

std::string Client::RunOnFile(const Line& line) {
  const std::string& operation = line.operation;
  if (operation == "open") return Open(line);
  if (operation == "ioctl") return Ioctl(line);
  if (operation == "pread" || operation == "pwrite" || operation == "read" || operation == "write")
    return Transfer(line);
  if (operation == "eventfd" || operation == "take" || operation == "wait" || operation == "signal")
    return Eventfd(line);
  if (operation == "dma") return Dma(line);
  if (operation == "until") return Until(line);
  const int fd = File(Word(line, 0));
  if (operation == "poll") return Ready(fd);
  if (operation == "close") return close(fd) == 0 ? "0" : ErrnoName(errno);
  if (operation == "dup" || operation == "reopen") {
    const std::string path = "/proc/self/fd/" + std::to_string(fd);
    const int copy = operation == "dup" ? dup(fd) : open(path.c_str(), O_RDWR);
    if (copy < 0) return ErrnoName(errno);
    Keep(line.name, copy, DeviceOf(Word(line, 0)));
    return "fd";
  }
  if (operation != "lseek") throw Nonsense{};
  const std::string& whence = Word(line, 2);
  const int from = whence == "set" ? SEEK_SET : whence == "cur" ? SEEK_CUR : SEEK_END;
  const off_t at = lseek(fd, static_cast<off_t>(this->Number(Word(line, 1))), from);
  return at < 0 ? ErrnoName(errno) : std::to_string(at);
}

std::string Client::Open(const Line& line) {
  int flags = O_RDWR;
  for (std::size_t i = 1; i < line.arguments.size(); ++i) {
    const std::string& word = line.arguments[i];
    if (word == "ro")
      flags = (flags & ~O_ACCMODE) | O_RDONLY;
    else if (word == "wo")
      flags = (flags & ~O_ACCMODE) | O_WRONLY;
    else if (word == "cloexec")
      flags |= O_CLOEXEC;
    else if (word != "rw")
      throw Nonsense{};
  }
  const int fd = open(machine_.Substitute(Word(line, 0)).c_str(), flags);
  if (fd < 0) return ErrnoName(errno);
  Keep(line.name, fd, nullptr);
  return "fd";
}

// pread F OFFSET SIZE, pwrite F OFFSET BYTES, read F SIZE, write F BYTES; parts=SIZE+SIZE,
// at=ADDRESS
std::string Client::Transfer(const Line& line) {
  const bool positioned = line.operation[0] == 'p', writes = line.operation.ends_with("write");
  const int fd = File(Word(line, 0));
  const std::uint64_t offset = positioned ? Number(Word(line, 1)) : 0;
  const std::string& what = Word(line, positioned ? 2 : 1);
  std::vector<unsigned char> bytes;
  if (writes)
    bytes = Bytes(what);
  else
    bytes.resize(what.starts_with('u') ? Number(what.substr(1)) / 8 : Number(what));
  if (bytes.size() > Arena::kSize) throw Nonsense{};
  unsigned char* buffer = arena_.Place(bytes.size());
  bool elsewhere = false;
  if (const auto at = ValueOf(line.arguments.back(), "at")) {
    buffer = reinterpret_cast<unsigned char*>(Number(*at));
    elsewhere = true;
  } else if (!bytes.empty()) {
    std::memcpy(buffer, bytes.data(), bytes.size());
  }
  const auto place = static_cast<off_t>(offset);
  ssize_t count = 0;
  if (const auto parts = Parts(line, buffer, bytes.size()); !parts.empty()) {
    const auto number = static_cast<int>(parts.size());
    count = positioned ? (writes ? pwritev : preadv)(fd, parts.data(), number, place)
                       : (writes ? writev : readv)(fd, parts.data(), number);
  } else if (writes) {
    count = positioned ? pwrite(fd, buffer, bytes.size(), place) : write(fd, buffer, bytes.size());
  } else {
    count = positioned ? pread(fd, buffer, bytes.size(), place) : read(fd, buffer, bytes.size());
  }
  if (count < 0) return ErrnoName(errno);
  if (writes && positioned)
    NoteWrite(DeviceOf(line.arguments[0]), offset, static_cast<std::size_t>(count));
  if (writes || elsewhere || count == 0) return std::to_string(count);
  return std::to_string(count) + " " + Show(line, offset, buffer, static_cast<std::size_t>(count));
}

std::vector<iovec> Client::Parts(const Line& line, unsigned char* buffer, std::size_t size) const {
  std::vector<iovec> parts;
  for (const std::string& word : line.arguments) {
    const auto sizes = ValueOf(word, "parts");
    if (!sizes) continue;
    std::istringstream list{std::string(*sizes)};
    for (std::string text; std::getline(list, text, '+');) {
      const std::size_t length = Number(text);
      if (length > size) throw Nonsense{};
      parts.push_back({buffer, length});
      buffer += length;
      size -= length;
    }
  }
  if (!parts.empty() && size != 0) throw Nonsense{};
  return parts;
}

void Client::NoteWrite(const Device* device, std::uint64_t offset, std::size_t count) {
  if (offset >> 40 != kConfigRegion) return;
  Written& written = written_[device];
  for (std::uint64_t at = offset & kOffsetMask; count > 0 && at < written.size(); ++at, --count)
    written[at] = true;
}

void Client::NoteOpen(const Device* device) {
  for (const auto& [fd, open] : devices_)
    if (open == device && fcntl(fd, F_GETFD) >= 0) return;
  written_.erase(device);
}

std::string Client::Show(const Line& line, std::uint64_t offset, const unsigned char* bytes,
                         std::size_t count) const {
  const bool config = offset >> 40 == kConfigRegion && line.operation == "pread";
  std::string text;
  if (config) {
    const Device* device = DeviceOf(line.arguments[0]);
    const auto written = written_.find(device);
    text = Machine::ConfigText(device, written == written_.end() ? Written{} : written->second,
                               offset & kOffsetMask, bytes, count);
  } else {
    text = Hex(bytes, count);
  }
  if (!line.arguments.back().starts_with('u') || count > 8 || text.size() != 2 * count ||
      text.find_first_of(".{") != text.npos)
    return text;
  std::uint64_t value = 0;
  std::memcpy(&value, bytes, count);
  return player::Number(value);
}

std::string Client::Eventfd(const Line& line) {
  if (line.operation == "eventfd") {
    const auto count = line.arguments.empty() ? 0 : Number(line.arguments[0]);
    Keep(line.name, eventfd(static_cast<unsigned>(count), EFD_NONBLOCK | EFD_CLOEXEC), nullptr);
    return "fd";
  }
  const int fd = File(Word(line, 0));
  if (line.operation == "signal") {
    const std::uint64_t count = Number(Word(line, 1));
    return write(fd, &count, sizeof count) == sizeof count ? "0" : ErrnoName(errno);
  }
  if (line.operation == "wait") {
    pollfd ready{fd, POLLIN, 0};
    if (poll(&ready, 1, std::chrono::milliseconds(kPatience).count()) == 0) return "timeout";
  }
  std::uint64_t count = 0;
  return read(fd, &count, sizeof count) == sizeof count ? std::to_string(count) : ErrnoName(errno);
}

// dma F in|out IOVA SIZE AT
std::string Client::Dma(const Line& line) {
  const int fd = File(Word(line, 0));
  const bool out = Word(line, 1) == "out";
  const std::uint64_t iova = Number(Word(line, 2)), size = Number(Word(line, 3)),
                      at = Number(Word(line, 4));
  if (!out && Word(line, 1) != "in") throw Nonsense{};
  // QEMU stops when its device is asked for more, or for the last byte.
  if (at >= kEduBufferSize || size >= kEduBufferSize - at) throw Nonsense{};
  const std::uint64_t ours = kEduBuffer + at;
  const std::pair<std::uint64_t, std::uint64_t> writes[] = {
      {kEduSource, out ? ours : iova},
      {kEduTarget, out ? iova : ours},
      {kEduCount, size},
      {kEduCommand, kEduStart | (out ? kEduToMemory : 0)}};
  for (const auto& [offset, value] : writes)
    if (pwrite(fd, &value, sizeof value, static_cast<off_t>(offset)) != sizeof value)
      return ErrnoName(errno);
  return PollRegister(fd, kEduCommand, kEduStart, 0) ? "done" : "timeout";
}

// until F OFFSET u32 MASK VALUE
std::string Client::Until(const Line& line) {
  const int fd = File(Word(line, 0));
  if (Word(line, 2) != "u32") throw Nonsense{};
  return PollRegister(fd, Number(Word(line, 1)), static_cast<std::uint32_t>(Number(Word(line, 3))),
                      static_cast<std::uint32_t>(Number(Word(line, 4))))
             ? "ok"
             : "timeout";
}

}  // namespace player
