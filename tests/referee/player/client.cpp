#include "client.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace player {
namespace {

constexpr std::uint64_t kBad = 0x0fff00000000;  // nothing is ever mapped there

std::optional<unsigned> WidthOf(std::string_view word) {
  if (word == "u8") return 1;
  if (word == "u16") return 2;
  if (word == "u32") return 4;
  if (word == "u64") return 8;
  return std::nullopt;
}

}  // namespace

Arena::Arena()
    : base_(static_cast<unsigned char*>(mmap(nullptr, kSize + 4096, PROT_READ | PROT_WRITE,
                                             MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
  mprotect(base_ + kSize, 4096, PROT_NONE);
}

unsigned char* Arena::Place(std::size_t room) {
  std::memset(base_, 0, kSize);
  return base_ + kSize - room;
}

void Arena::Protect(bool readonly) {
  mprotect(base_, kSize, readonly ? PROT_READ : PROT_READ | PROT_WRITE);
}

std::string Client::Do(const Line& line) {
  try {
    return Run(line);
  } catch (const Nonsense&) {
    return "nonsense";
  }
}

std::string Client::Run(const Line& line) {
  static constexpr std::string_view kOnMemory[] = {"map",     "mmap", "unmap",
                                                   "protect", "load", "store"};
  static constexpr std::string_view kOnProcess[] = {"drop", "limit", "echo",
                                                    "cat",  "link",  "settle"};
  for (const std::string_view operation : kOnMemory)
    if (line.operation == operation) return RunOnMemory(line);
  for (const std::string_view operation : kOnProcess)
    if (line.operation == operation) return RunOnProcess(line);
  return RunOnFile(line);
}

void Client::Keep(const std::string& name, int fd, const Device* device) {
  const int duplicate = fcntl(fd, F_GETFD) & FD_CLOEXEC ? F_DUPFD_CLOEXEC : F_DUPFD;
  const int kept = fcntl(fd, duplicate, next_file_);
  close(fd);
  next_file_ = kept + 1;
  if (name.empty()) return;
  files_[name] = kept;
  devices_[kept] = device;
}

int Client::Descriptor(std::string_view name) const {
  const auto file = files_.find(name);
  return file == files_.end() ? -1 : file->second;
}

const Device* Client::DeviceOf(std::string_view name) const {
  const auto device = devices_.find(Descriptor(name));
  return device == devices_.end() ? nullptr : device->second;
}

std::vector<std::string> Client::Names() const {
  std::vector<std::string> names;
  for (const auto& [name, fd] : files_) {
    const Device* device = DeviceOf(name);
    names.push_back(name + "=" + std::to_string(fd) + "=" +
                    (device == nullptr ? std::string() : device->address));
  }
  return names;
}

void Client::Remember(std::string_view names) {
  const std::size_t first = names.find('='), last = names.rfind('=');
  const int fd = static_cast<int>(*ParseNumber(names.substr(first + 1, last - first - 1)));
  files_[std::string(names.substr(0, first))] = fd;
  const std::string_view address = names.substr(last + 1);
  devices_[fd] = address.empty() ? nullptr : machine_.FindByAddress(address);
  next_file_ = std::max(next_file_, fd + 1);
}

const std::string& Client::Word(const Line& line, std::size_t at) const {
  if (at >= line.arguments.size()) throw Nonsense{};
  return line.arguments[at];
}

std::uint64_t Client::Number(std::string_view word) const {
  if (const auto number = ParseNumber(word)) return *number;
  if (word == "bad") return kBad;
  if (word == "null") return 0;
  const std::size_t colon = word.find(':');
  if (colon != word.npos) {  // REGION:OFFSET
    const auto region = ParseNumber(word.substr(0, colon));
    const auto offset = ParseNumber(word.substr(colon + 1));
    if (!region || !offset) throw Nonsense{};
    return (*region << 40) + *offset;
  }
  const std::size_t sign = word.find_first_of("+-");
  const std::string_view name = word.substr(0, sign);
  std::uint64_t delta = 0;
  if (sign != word.npos) {
    const auto number = ParseNumber(word.substr(sign + 1));
    if (!number) throw Nonsense{};
    delta = word[sign] == '-' ? 0 - *number : *number;
  }
  if (const auto memory = memory_.find(name); memory != memory_.end())
    return reinterpret_cast<std::uint64_t>(memory->second.at) + delta;
  if (const auto file = files_.find(name); file != files_.end())
    return static_cast<std::uint64_t>(file->second) + delta;
  throw Nonsense{};
}

int Client::File(std::string_view word) const {
  const auto file = files_.find(word);
  if (file != files_.end()) return file->second;
  if (const auto number = ParseNumber(word)) return static_cast<int>(*number);
  throw Nonsense{};
}

std::vector<unsigned char> Client::Bytes(std::string_view word) const {
  std::vector<unsigned char> bytes;
  const auto append = [&](std::uint64_t value, unsigned width) {
    for (unsigned i = 0; i < width; ++i)
      bytes.push_back(static_cast<unsigned char>(value >> 8 * i));
  };
  if (word.starts_with('[') && word.ends_with(']')) {
    std::string_view list = word.substr(1, word.size() - 2);
    while (true) {
      while (list.starts_with(' ')) list.remove_prefix(1);
      if (list.empty()) return bytes;
      const std::string_view item = list.substr(0, list.find(' '));
      append(Number(item), 4);
      list.remove_prefix(item.size());
    }
  }
  const std::size_t colon = word.find(':');
  if (colon == word.npos) throw Nonsense{};
  const std::string_view kind = word.substr(0, colon), rest = word.substr(colon + 1);
  if (const auto width = WidthOf(kind)) {
    append(Number(rest), *width);
    return bytes;
  }
  if (kind == "x") {
    if (rest.size() % 2 != 0) throw Nonsense{};
    for (std::size_t i = 0; i < rest.size(); i += 2) {
      const auto byte = ParseNumber("0x" + std::string(rest.substr(i, 2)));
      if (!byte) throw Nonsense{};
      append(*byte, 1);
    }
    return bytes;
  }
  const std::uint64_t count = Number(rest);
  if (count > (1u << 20)) throw Nonsense{};
  if (kind != "zero" && kind != "ones" && kind != "seq") throw Nonsense{};
  for (std::uint64_t i = 0; i < count; ++i)
    append(kind == "zero" ? 0 : kind == "ones" ? 0xff : i, 1);
  return bytes;
}

}  // namespace player
