// An open file of the emulated host that another process has.
#pragma once
#include "lease/owner.hpp"

namespace vfiolab::lease {

// Its calls are those of the thread that makes them: the owner reaches that thread's memory.
class RemoteFile final : public OpenFile {
 public:
  // `owner` outlives this.
  RemoteFile(Owner& owner, const FileFacts& facts) : owner_(owner), facts_(facts) {}
  u64 lease() const { return facts_.lease; }
  u64 number() const { return facts_.file; }
  // Whether its owner has.
  bool gone() const { return gone_; }

  // OpenFile. ENODEV, beside what the file says: the owner has gone.
  std::string Name() const override;
  u64 size() const override { return facts_.size; }
  bool is_regular() const override { return facts_.is_regular; }
  bool has_node() const override { return facts_.has_node; }
  bool can_poll() const override { return facts_.can_poll; }
  bool takes_offsets() const override { return facts_.takes_offsets; }
  bool can_transfer() const override { return facts_.can_transfer; }
  Reply Ioctl(CallContext&, u32 command, u64 argument) override;
  Reply Seek(off_t offset, int whence) override;
  Reply Read(CallContext&, std::span<std::byte> to, u64 offset) override;
  Reply Write(CallContext&, std::span<const std::byte> from, u64 offset) override;
  Reply Load(CallContext&, std::span<std::byte> to, u64 offset) override;
  Reply Store(CallContext&, std::span<const std::byte> from, u64 offset) override;
  Result<u64> Mmap(CallContext&, const MmapRequest&) override;
  // Of the mapping that was made last.
  SharedMemory shared_memory() const override {
    return {.fd = memory_.get(), .mapped = true, .answers = true, .traps = traps_};
  }

 private:
  Result<Owner::Answered> Ask(Request::Kind kind, std::array<u64, 6> arguments,
                              std::span<const std::byte> bytes = {}) const;
  Reply Fetch(Request::Kind kind, std::span<std::byte> to, u64 offset);

  Owner& owner_;
  FileFacts facts_;
  UniqueFd memory_;
  mutable bool gone_ = false;
  bool traps_ = false;
};

}  // namespace vfiolab::lease
