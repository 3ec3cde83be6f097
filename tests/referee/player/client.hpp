// One client process: what it has, and what it does for each operation of a trace.
#pragma once
#include <sys/uio.h>

#include <csetjmp>
#include <map>
#include <string>
#include <vector>

#include "ioctl_shape.hpp"
#include "line.hpp"
#include "machine.hpp"

namespace player {

struct Memory {
  unsigned char* at = nullptr;
  std::size_t size = 0;
};

// Memory that ends where nothing is mapped.
class Arena {
 public:
  static constexpr std::size_t kSize = 65536;
  Arena();
  // `size` bytes of zeros, the first `room` of which can be reached.
  unsigned char* Place(std::size_t room);
  void Protect(bool readonly);

 private:
  unsigned char* base_;
};

class Client {
 public:
  explicit Client(const Machine& machine) : machine_(machine) {}

  // Runs an operation of this process and returns its result. `fork`, `exit`, `kill` and `pass`
  // are the player's.
  std::string Do(const Line& line);

  // Moves a descriptor to a number that was never used before, and remembers it.
  void Keep(const std::string& name, int fd, const Device* device);
  int Descriptor(std::string_view name) const;  // -1: no such name
  const Device* DeviceOf(std::string_view name) const;
  // "c=100 d=101:0000:00:04.0 ...", to survive an exec.
  std::vector<std::string> Names() const;
  void Remember(std::string_view names);

 private:
  using Arguments = std::vector<std::string>;
  struct Nonsense {};

  std::string Run(const Line& line);
  std::string RunOnFile(const Line& line);
  std::string RunOnMemory(const Line& line);
  std::string RunOnProcess(const Line& line);

  std::string Open(const Line& line);
  std::string Ioctl(const Line& line);
  struct Argument;  // a struct as a trace describes it
  Argument ParseArgument(const Line& line, const IoctlShape& shape) const;
  std::string IoctlStruct(const Line& line, int fd, const IoctlShape& shape);
  std::string Tail(const IoctlShape& shape, const std::vector<unsigned char>& before,
                   const unsigned char* after) const;
  std::string Transfer(const Line& line);
  // How the operation divides its buffer; nothing when it does not.
  std::vector<iovec> Parts(const Line& line, unsigned char* buffer, std::size_t size) const;
  // Remembers what of config space was written.
  void NoteWrite(const Device* device, std::uint64_t offset, std::size_t count);
  // A device that this process opens first is as firmware left it.
  void NoteOpen(const Device* device);
  std::string Show(const Line& line, std::uint64_t offset, const unsigned char* bytes,
                   std::size_t count) const;
  std::string Eventfd(const Line& line);
  std::string Map(const Line& line);
  std::string MapFile(const Line& line);
  std::string Change(const Line& line);
  std::string Touch(const Line& line);
  std::string Dma(const Line& line);
  std::string Until(const Line& line);
  std::string Drop(const Line& line);

  const std::string& Word(const Line& line, std::size_t at) const;
  std::uint64_t Number(std::string_view word) const;
  std::vector<unsigned char> Bytes(std::string_view word) const;
  int File(std::string_view word) const;

  const Machine& machine_;
  Arena arena_;
  std::map<std::string, int, std::less<>> files_;
  std::map<int, const Device*> devices_;
  std::map<const Device*, Written> written_;
  std::map<std::string, Memory, std::less<>> memory_;
  int next_file_ = 100;
  std::uint64_t next_address_ = 0x100000000000;
};

}  // namespace player
