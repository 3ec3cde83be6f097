// The seam between transports and protocols: an open file description, as the kernel means it.
#pragma once
#include <fcntl.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "base/eventfd.hpp"
#include "base/unique_fd.hpp"
#include "client/client_memory.hpp"

namespace vfiolab {

class OpenFile;

// Who calls, and what the call may reach in the caller. Valid until the call returns.
class CallContext {
 public:
  virtual ~CallContext() = default;

  virtual pid_t tid() const = 0;  // the calling thread, in the emulator's pid namespace
  virtual ClientMemory& memory() = 0;

  // The caller's mm, to keep. ESRCH when it is already gone.
  virtual Result<std::shared_ptr<AddressSpace>> address_space() = 0;

  // The caller's descriptor `fd`. EBADF: not open. EINVAL: not an eventfd (fs/eventfd.c).
  virtual Result<Eventfd> ImportEventfd(int fd) = 0;
  // The caller's descriptor `fd` as one of our own files; null when it is open but not ours.
  // EBADF: not open.
  virtual Result<std::shared_ptr<OpenFile>> ImportOpenFile(int fd) = 0;

  // Whether the call is one of a 32-bit program, some of whose structs and numbers are others.
  virtual bool is_32_bit() const { return false; }

  // For a file that moves the bytes of a read or write piece by piece, where a transport lets it
  // see the client's buffer as the kernel would: a piece of a write before it is used
  // (copy_from_user), one of a read when it is there (copy_to_user). `part` lies in what the file
  // was given. EFAULT: the buffer is out of reach there, and the call is to end.
  virtual Result<> FromClient(std::span<const std::byte>) { return {}; }
  virtual Result<> ToClient(std::span<const std::byte>) { return {}; }

  // Whether a mapping of a shared region by this caller reaches the region's own memory.
  virtual bool can_map_regions() const = 0;
  // Whether loads and stores of this caller on a mapped region can be made one by one, and its
  // mappings begin at other offsets than it asks for.
  virtual bool can_trap() const { return false; }
};

// What a call came to: a value as the system call returns it, or an errno; and, where the call
// opens something, the file that the transport has to install in the caller.
struct Completion {
  Result<long> value;
  std::shared_ptr<OpenFile> opened;
  std::vector<std::byte> data;          // of a deferred read
  int open_flags = O_RDWR | O_CLOEXEC;  // how the descriptor of `opened` is made
  std::shared_ptr<UniqueFd> descriptor;  // it, where whoever opened it has made one
};

// A call that waits. The transport keeps it and forgets it after `done` was called or Cancel().
class PendingCall {
 public:
  virtual ~PendingCall() = default;
  // `done` is called once, later, in the core's turn.
  virtual void OnDone(std::function<void(Completion)> done) = 0;
  // The caller was interrupted: `done` is not called any more, the caller gets EINTR.
  virtual void Cancel() = 0;
  // Whether a signal ends it.
  virtual bool interruptible() const { return true; }
};

class [[nodiscard]] Reply {
 public:
  Reply(long value) : state_(Completion{value, nullptr, {}}) {}
  Reply(Result<long> value) : state_(Completion{std::move(value), nullptr, {}}) {}
  Reply(Failure<Error> failure) : state_(Completion{std::move(failure), nullptr, {}}) {}
  Reply(Completion completion) : state_(std::move(completion)) {}
  Reply(std::shared_ptr<PendingCall> pending) : state_(std::move(pending)) {}

  bool deferred() const { return state_.index() == 1; }
  Completion& completion() { return std::get<0>(state_); }
  const std::shared_ptr<PendingCall>& pending() const { return std::get<1>(state_); }

 private:
  std::variant<Completion, std::shared_ptr<PendingCall>> state_;
};

struct MmapRequest {
  u64 offset;
  u64 length;
  bool shared;  // MAP_SHARED or MAP_SHARED_VALIDATE
  bool writes = false;
};

// Memory that a transport may map into clients in place of a file: `fd` is owned by the device,
// and region offsets are its file offsets. `mapped`: a client was let map it through this file,
// which has to stay open as long as the mapping. `answers`: accesses reach the device now. `traps`:
// the client's are to be made one by one, whatever the offset.
struct SharedMemory {
  int fd = -1;
  bool mapped = false;
  bool answers = true;
  bool traps = false;
};

// One open file description. Destroyed when the last descriptor (and reference of another file)
// is gone. The defaults are the kernel's answers of a file that lacks the operation.
class OpenFile {
 public:
  virtual ~OpenFile() = default;

  // For the trace: the path, or "[vfio-device 0000:01:00.0]".
  virtual std::string Name() const = 0;
  // What lseek and fstat say of one that an ioctl opened.
  virtual u64 size() const { return 0; }
  // A file with a position and a size, which the transport looks after.
  virtual bool is_regular() const { return false; }
  // Whether it was opened by a path; else an ioctl has opened it.
  virtual bool has_node() const { return true; }
  // Whether poll and epoll ask it; else it is always ready, and nothing for epoll (file_can_poll).
  virtual bool can_poll() const { return false; }
  // Whether pread and pwrite reach it; else they are ESPIPE (FMODE_PREAD).
  virtual bool takes_offsets() const { return true; }
  // Whether it has read and write; else they are EINVAL, whatever the buffer (FMODE_CAN_READ).
  virtual bool can_transfer() const { return true; }

  // Where a read or write that names no offset begins, of a transport that makes it itself.
  u64 position() const { return position_; }
  void set_position(u64 position) { position_ = position; }

  virtual Reply Ioctl(CallContext&, u32 command, u64 argument);
  // lseek of one that is not regular: the value is the new position.
  virtual Reply Seek(off_t offset, int whence);
  // The transport owns the bytes. The value is the number of bytes moved.
  virtual Reply Read(CallContext&, std::span<std::byte> to, u64 offset);
  virtual Reply Write(CallContext&, std::span<const std::byte> from, u64 offset);
  // One load or store of a processor on a mapping of this file: 1 to 64 bytes at a file offset. The
  // value is the number of bytes moved. EIO: nothing answers there, which the processor's owner
  // learns by SIGBUS.
  virtual Reply Load(CallContext&, std::span<std::byte> to, u64 offset);
  virtual Reply Store(CallContext&, std::span<const std::byte> from, u64 offset);
  // Where in shared_memory() the client's mapping begins: in most files at the offset that it asks
  // for. The errno if it may not map this. ENODEV: the file has no mmap.
  virtual Result<u64> Mmap(CallContext&, const MmapRequest&);
  // What backs mappings of this file, if anything does.
  virtual SharedMemory shared_memory() const { return {}; }

 private:
  u64 position_ = 0;
};

}  // namespace vfiolab
