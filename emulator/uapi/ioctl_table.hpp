// Ioctls as tables: a number, the kernel's name for it, and who answers.
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "vfs/open_file.hpp"

namespace vfiolab::uapi {

// One ioctl under way.
struct IoctlCall {
  CallContext& caller;
  const char* name;
  u64 argument;  // a pointer in the caller, or a value

  ClientAddress pointer() const { return ClientAddress{argument}; }
};

template <class File>
struct IoctlRow {
  u32 command;
  const char* name;
  Reply (File::*handler)(const IoctlCall&);
};

// Checks a table while it compiles: no number twice.
template <class File, std::size_t N>
consteval std::array<IoctlRow<File>, N> Ioctls(const IoctlRow<File> (&rows)[N]) {
  std::array<IoctlRow<File>, N> table{};
  for (std::size_t i = 0; i < N; ++i) {
    for (std::size_t j = 0; j < i; ++j)
      if (rows[i].command == rows[j].command) throw "two ioctls share a number";
    table[i] = rows[i];
  }
  return table;
}

// Calls the row of `command`; `unknown` is the errno of a number that has none: it differs from
// file to file.
template <class File, std::size_t N>
Reply Dispatch(const std::array<IoctlRow<File>, N>& table, File& file, CallContext& caller,
               u32 command, u64 argument, int unknown) {
  const auto row = std::ranges::find(table, command, &IoctlRow<File>::command);
  if (row == table.end()) return Fail(unknown, fmt::format("unknown ioctl {:#x}", command));
  return (file.*row->handler)(IoctlCall{caller, row->name, argument});
}

// The end of `member` in struct T: how much of it a client must give at least.
#define VFIOLAB_END_OF(T, member) (offsetof(T, member) + sizeof(T::member))

// Copies the first `minimum` bytes into `value` and checks its argsz, in that order, as every VFIO
// ioctl does; a reference because the kernel's structs end in flexible arrays. EFAULT: not
// readable. EINVAL: argsz is smaller.
template <class T>
Result<> CopyIn(const IoctlCall& call, T& value, std::size_t minimum = sizeof(T)) {
  TRY(call.caller.memory().Read(call.pointer(), BytesOf(value).first(minimum)));
  if (value.argsz < minimum)
    return Fail(EINVAL, fmt::format("{}: argsz {} < {}", call.name, value.argsz, minimum));
  return {};
}

// Copies out the first `length` bytes of T. EFAULT: not writable.
template <class T>
Result<> CopyOut(const IoctlCall& call, const T& value, std::size_t length = sizeof(T)) {
  return call.caller.memory().Write(call.pointer(), BytesOf(value).first(length));
}

}  // namespace vfiolab::uapi
