// A client without a process: memory made of regions with permissions, and numbered descriptors.
#pragma once
#include <functional>
#include <map>
#include <vector>

#include "vfs/open_file.hpp"

namespace vfiolab::test {

// The memory of one process image. Addresses are numbers that say nothing about this process.
class FakeMm final : public AddressSpace {
 public:
  // `size` bytes of zeros at `at`; must not overlap another region.
  void Map(u64 at, u64 size, Permissions permissions = {true, true});
  void Unmap(u64 at);
  // The image is gone, as after exit or exec: nothing is reachable any more.
  void Die() { dead_ = true; }

  template <class T>
  void Put(u64 at, const T& value) {
    Poke(at, BytesOf(value));
  }
  template <class T>
  T Get(u64 at) const {
    T value{};
    Peek(at, BytesOf(value));
    return value;
  }
  // As the process itself would, whatever the permissions; aborts where nothing is mapped.
  void Poke(u64 at, std::span<const std::byte> from);
  void Peek(u64 at, std::span<std::byte> to) const;

  // Pages that may be locked, for a process without CAP_IPC_LOCK.
  void set_lock_limit(u64 pages) { lock_limit_ = pages; }
  u64 locked_pages() const { return locked_pages_; }

  // Each write that a device or a system call made, in order: address and size.
  struct Store {
    u64 at;
    std::size_t size;
    bool operator==(const Store&) const = default;
  };
  std::vector<Store> stores;

  // Runs once, inside the next access of the emulator: what others do while it waits for memory.
  std::function<void()> meanwhile;

  // AddressSpace
  bool Read(ClientAddress from, std::span<std::byte> to) override;
  bool Write(ClientAddress to, std::span<const std::byte> from) override;
  Result<u64, Unpinnable> CheckPinnable(ClientAddress start, u64 length,
                                        Permissions wanted) override;
  Result<> ChargeLocked(u64 pages) override;
  void UnchargeLocked(u64 pages) override;

 private:
  struct Region {
    std::vector<std::byte> bytes;
    Permissions permissions;
  };
  // The bytes from `at` to the end of its region, at most `size`; empty where nothing is mapped.
  std::span<std::byte> Piece(u64 at, std::size_t size, Permissions* permissions = nullptr) const;

  mutable std::map<u64, Region> regions_;
  bool dead_ = false;
  u64 lock_limit_ = ~u64{0};
  u64 locked_pages_ = 0;
};

class FakeClient final : public CallContext, public ClientMemory {
 public:
  explicit FakeClient(pid_t tid = 100) : tid_(tid) {}

  FakeMm& mm() { return *mm_; }
  // The old image goes, a new and empty one comes; descriptors stay.
  void Exec();

  // Each returns the number of a new descriptor.
  int AddEventfd(unsigned count = 0);
  int AddOpenFile(std::shared_ptr<OpenFile> file);
  int AddForeignFile() { return AddOpenFile(nullptr); }  // open, but neither of the above
  // Of a descriptor that is one of our files.
  const std::shared_ptr<OpenFile>& file(int fd) const { return descriptors_.at(fd).file; }
  // Takes the descriptor away and returns its file, if it is one of ours.
  std::shared_ptr<OpenFile> Close(int fd);

  // How often the eventfd was signalled since the last question.
  u64 Signals(int fd);
  // Signals it, as a client does.
  void Signal(int fd);

  bool can_map = true;
  // How many bytes of the buffers of reads and writes are still within reach.
  u64 buffer_left = ~u64{0};
  bool can_trap_registers = true;
  bool is_of_32_bit = false;

  // CallContext
  pid_t tid() const override { return tid_; }
  ClientMemory& memory() override { return *this; }
  Result<std::shared_ptr<AddressSpace>> address_space() override;
  Result<Eventfd> ImportEventfd(int fd) override;
  Result<std::shared_ptr<OpenFile>> ImportOpenFile(int fd) override;
  bool can_map_regions() const override { return can_map; }
  bool can_trap() const override { return can_trap_registers; }
  bool is_32_bit() const override { return is_of_32_bit; }
  Result<> FromClient(std::span<const std::byte> part) override { return Reach(part.size()); }
  Result<> ToClient(std::span<const std::byte> part) override { return Reach(part.size()); }

  // ClientMemory
  Result<> Read(ClientAddress from, std::span<std::byte> to) override;
  Result<> Write(ClientAddress to, std::span<const std::byte> from) override;

 private:
  struct Descriptor {
    UniqueFd eventfd;
    std::shared_ptr<OpenFile> file;
  };
  int Add(Descriptor descriptor);
  Result<> Reach(u64 size);

  pid_t tid_;
  std::shared_ptr<FakeMm> mm_ = std::make_shared<FakeMm>();
  std::map<int, Descriptor> descriptors_;
  int next_fd_ = 3;
};

}  // namespace vfiolab::test
