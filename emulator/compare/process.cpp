#include "compare/process.hpp"

#include <cstring>

namespace vfiolab::compare {

std::byte* ProcessMemory::At(ClientAddress at, u64 size) {
  const u64 offset = Raw(at) - kBase;  // wraps below
  return offset <= kSize && size <= kSize - offset ? bytes_.data() + offset : nullptr;
}

bool ProcessMemory::Read(ClientAddress from, std::span<std::byte> to) {
  const std::byte* source = At(from, to.size());
  if (source != nullptr) std::memcpy(to.data(), source, to.size());
  return source != nullptr;
}

bool ProcessMemory::Write(ClientAddress to, std::span<const std::byte> from) {
  std::byte* target = At(to, from.size());
  if (target != nullptr) std::memcpy(target, from.data(), from.size());
  return target != nullptr;
}

Result<u64, AddressSpace::Unpinnable> ProcessMemory::CheckPinnable(ClientAddress start, u64 length,
                                                                   Permissions) {
  if (At(start, length) == nullptr)
    return Failure{Unpinnable{0, Error{EFAULT, "there is no memory"}}};
  return length;
}

int Process::Add(std::shared_ptr<OpenFile> file) {
  files_.emplace(next_, std::move(file));
  return next_++;
}

Result<std::shared_ptr<OpenFile>> Process::ImportOpenFile(int fd) {
  const auto found = files_.find(fd);
  if (found == files_.end()) return Fail(EBADF, "no such descriptor");
  return found->second;
}

Result<> Process::Read(ClientAddress from, std::span<std::byte> to) {
  if (!memory_->Read(from, to)) return Fail(EFAULT, "there is no memory");
  return {};
}

Result<> Process::Write(ClientAddress to, std::span<const std::byte> from) {
  if (!memory_->Write(to, from)) return Fail(EFAULT, "there is no memory");
  return {};
}

}  // namespace vfiolab::compare
