#include "tracer/traced_thread.hpp"

#include <elf.h>
#include <fmt/format.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>

namespace vfiolab::tracer {

const Vma* TracedThread::Find(u64 address) {
  const auto covers = [&](const Vma& vma) { return vma.first <= address && address <= vma.last; };
  const auto known = std::ranges::find_if(known_, covers);
  if (known != known_.end()) return &*known;
  const auto found = FindVma(files_.maps.get(), address);
  if (!found || !covers(*found)) return nullptr;
  return &known_.emplace_back(*found);
}

bool TracedThread::IsDevice(u64 address) {
  const Vma* vma = Find(address);
  return vma != nullptr && access_.IsDevice(*vma);
}

Result<const Vma*> TracedThread::DeviceAt(u64 address, std::size_t size) {
  const bool begins = IsDevice(address);
  const bool ends = IsDevice(address + size - 1);
  if (!begins && !ends) return nullptr;
  const Vma* vma = Find(address);
  if (begins && ends && address + size - 1 <= vma->last) return vma;
  return Fail(ENOTSUP, fmt::format("{} bytes at {:#x} are only in part a device's", size, address));
}

Failure<Error> TracedThread::Segfault(u64 address) {
  segfault_at_ = address;
  return Fail(EFAULT, fmt::format("nothing can be moved at {:#x}", address));
}

Result<> TracedThread::Load(u64 address, std::span<std::byte> to) {
  if (const Vma* device = TRY(DeviceAt(address, to.size()))) {
    if (!device->readable) return Segfault(address);
    return access_.Load(tid_, files_, *device, address, to);
  }
  const iovec local{to.data(), to.size()};
  const iovec remote{reinterpret_cast<void*>(address), to.size()};
  if (::process_vm_readv(tid_, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(to.size()))
    return {};
  return Segfault(address);
}

Result<> TracedThread::Store(u64 address, std::span<const std::byte> from) {
  if (const Vma* device = TRY(DeviceAt(address, from.size()))) {
    if (!device->writable) return Segfault(address);
    return access_.Store(tid_, files_, *device, address, from);
  }
  const iovec local{const_cast<std::byte*>(from.data()), from.size()};
  const iovec remote{reinterpret_cast<void*>(address), from.size()};
  if (::process_vm_writev(tid_, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(from.size()))
    return {};
  return Segfault(address);
}

Result<> TracedThread::FetchRegisters() {
  iovec part{&registers_, sizeof registers_};
  if (::ptrace(PTRACE_GETREGSET, tid_, NT_PRSTATUS, &part) != 0) return Fail(errno, "registers");
  // A program of 32 bits has other registers, and other instructions.
  if (part.iov_len != sizeof registers_) return Fail(ENOTSUP, "a program of 32 bits");
  return {};
}

Result<> TracedThread::StoreRegisters() {
  iovec part{&registers_, sizeof registers_};
  if (::ptrace(PTRACE_SETREGSET, tid_, NT_PRSTATUS, &part) != 0) return Fail(errno, "registers");
  return {};
}

Result<std::vector<std::byte>> TracedThread::VectorRegisters() {
  constexpr std::size_t kMost = 16384;
  std::vector<std::byte> image(kMost);
  iovec part{image.data(), image.size()};
  if (::ptrace(PTRACE_GETREGSET, tid_, NT_X86_XSTATE, &part) != 0)
    return Fail(ENOTSUP, "the vector registers cannot be read");
  image.resize(part.iov_len);
  return image;
}

Result<> TracedThread::SetVectorRegisters(std::span<const std::byte> image) {
  iovec part{const_cast<std::byte*>(image.data()), image.size()};
  if (::ptrace(PTRACE_SETREGSET, tid_, NT_X86_XSTATE, &part) != 0)
    return Fail(errno, "the vector registers cannot be set");
  return {};
}

std::vector<std::byte> TracedThread::Code() const {
  std::vector<std::byte> code(15);
  const ssize_t size =
      ::pread(files_.memory.get(), code.data(), code.size(), static_cast<off_t>(registers_.rip));
  code.resize(static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  return code;
}

}  // namespace vfiolab::tracer
