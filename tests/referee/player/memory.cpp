// Operations on the client's own memory.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>

#include "client.hpp"

namespace player {
namespace {

sigjmp_buf fault_return;
volatile int fault_signal = 0;

void OnFault(int signal) {
  fault_signal = signal;
  siglongjmp(fault_return, 1);
}

// Runs `act`; the name of the signal that ended it, or nothing.
template <class F>
const char* Guarded(F&& act) {
  struct sigaction action {};
  action.sa_handler = OnFault;
  action.sa_flags = SA_NODEFER;
  sigaction(SIGSEGV, &action, nullptr);
  sigaction(SIGBUS, &action, nullptr);
  fault_signal = 0;
  if (sigsetjmp(fault_return, 1) == 0) act();
  signal(SIGSEGV, SIG_DFL);
  signal(SIGBUS, SIG_DFL);
  return fault_signal == 0 ? nullptr : fault_signal == SIGBUS ? "SIGBUS" : "SIGSEGV";
}

// One access of the width that was asked, as a device would see it.
void Copy(volatile void* to, const volatile void* from, std::size_t size) {
  switch (size) {
    case 2:
      *static_cast<volatile std::uint16_t*>(to) = *static_cast<const volatile std::uint16_t*>(from);
      return;
    case 4:
      *static_cast<volatile std::uint32_t*>(to) = *static_cast<const volatile std::uint32_t*>(from);
      return;
    case 8:
      *static_cast<volatile std::uint64_t*>(to) = *static_cast<const volatile std::uint64_t*>(from);
      return;
    default:
      for (std::size_t i = 0; i < size; ++i)
        static_cast<volatile unsigned char*>(to)[i] =
            static_cast<const volatile unsigned char*>(from)[i];
  }
}

std::optional<int> ProtectionOf(std::string_view word) {
  if (word == "none") return PROT_NONE;
  if (word == "r") return PROT_READ;
  if (word == "w") return PROT_WRITE;
  if (word == "rw") return PROT_READ | PROT_WRITE;
  return std::nullopt;
}

constexpr std::uint64_t kAlignment = 2u << 20;  // of huge pages

}  // namespace

std::string Client::RunOnMemory(const Line& line) {
  if (line.operation == "map") return Map(line);
  if (line.operation == "mmap") return MapFile(line);
  if (line.operation == "load" || line.operation == "store") return Touch(line);
  return Change(line);
}

// Memory comes from addresses that were never used before, far from all else.
std::string Client::Map(const Line& line) {
  const std::uint64_t size = Number(Word(line, 0));
  const auto protection = ProtectionOf(Word(line, 1));
  const std::string kind = line.arguments.size() > 2 ? line.arguments[2] : "private";
  if (!protection || line.name.empty()) throw Nonsense{};
  int flags = MAP_FIXED_NOREPLACE, fd = -1;
  if (kind == "private") {
    flags |= MAP_PRIVATE | MAP_ANONYMOUS;
  } else if (kind == "shared") {
    flags |= MAP_SHARED | MAP_ANONYMOUS;
  } else if (kind == "huge") {
    flags |= MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
  } else if (kind == "memfd") {
    fd = memfd_create("trace", 0);
    if (ftruncate(fd, static_cast<off_t>(size)) != 0) throw Nonsense{};
    flags |= MAP_SHARED;
  } else {
    throw Nonsense{};
  }
  void* at = mmap(reinterpret_cast<void*>(next_address_), size, *protection, flags, fd, 0);
  const int error = errno;
  if (fd >= 0) close(fd);
  if (at == MAP_FAILED) return ErrnoName(error);
  memory_[line.name] = {static_cast<unsigned char*>(at), size};
  next_address_ += (size + 2 * kAlignment - 1) & ~(kAlignment - 1);
  return "ok";
}

std::string Client::MapFile(const Line& line) {
  const int fd = File(Word(line, 0));
  const std::uint64_t offset = Number(Word(line, 1)), size = Number(Word(line, 2));
  const auto protection = ProtectionOf(Word(line, 3));
  const std::string& kind = Word(line, 4);
  if (!protection || line.name.empty() || (kind != "private" && kind != "shared")) throw Nonsense{};
  void* at = mmap(reinterpret_cast<void*>(next_address_), size, *protection,
                  MAP_FIXED_NOREPLACE | (kind == "private" ? MAP_PRIVATE : MAP_SHARED), fd,
                  static_cast<off_t>(offset));
  if (at == MAP_FAILED) return ErrnoName(errno);
  memory_[line.name] = {static_cast<unsigned char*>(at), size};
  next_address_ += (size + 2 * kAlignment - 1) & ~(kAlignment - 1);
  return "ok";
}

// unmap M [FROM SIZE], protect M PROTECTION [FROM SIZE]
std::string Client::Change(const Line& line) {
  const auto found = memory_.find(Word(line, 0));
  if (found == memory_.end()) throw Nonsense{};
  const bool protect = line.operation == "protect";
  const std::size_t first = protect ? 2 : 1;
  std::uint64_t from = 0, size = found->second.size;
  if (line.arguments.size() > first) {
    from = Number(Word(line, first));
    size = Number(Word(line, first + 1));
  }
  unsigned char* at = found->second.at + from;
  if (!protect) return munmap(at, size) == 0 ? "0" : ErrnoName(errno);
  const auto protection = ProtectionOf(Word(line, 1));
  if (!protection) throw Nonsense{};
  return mprotect(at, size, *protection) == 0 ? "0" : ErrnoName(errno);
}

std::string Client::Touch(const Line& line) {
  auto* const at = reinterpret_cast<unsigned char*>(Number(Word(line, 0)));
  const std::string& what = Word(line, 1);
  if (line.operation == "store") {
    const std::vector<unsigned char> bytes = Bytes(what);
    const char* fault = Guarded([&] { Copy(at, bytes.data(), bytes.size()); });
    return fault != nullptr ? fault : "ok";
  }
  const bool number = what.starts_with('u');
  const std::uint64_t size = number ? Number(what.substr(1)) / 8 : Number(what);
  if (size == 0 || size > Arena::kSize || (number && size > 8)) throw Nonsense{};
  std::vector<unsigned char> bytes(size);
  if (const char* fault = Guarded([&] { Copy(bytes.data(), at, size); })) return fault;
  if (!number) return Hex(bytes.data(), size);
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data(), size);
  char text[24];
  std::snprintf(text, sizeof text, "0x%lx", value);
  return text;
}

}  // namespace player
