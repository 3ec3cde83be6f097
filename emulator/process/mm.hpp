// The mm of a client process: an AddressSpace over /proc/PID/mem and /proc/PID/maps.
#pragma once
#include <map>
#include <memory>
#include <vector>

#include "base/unique_fd.hpp"
#include "client/client_memory.hpp"
#include "process/procmap.hpp"
#include "process/turn.hpp"

namespace vfiolab {

// Where the kernel put 16 random bytes for the image, and what they are: two images differ.
struct ImageMark {
  u64 address = 0;
  u64 bytes[2] = {};
  bool operator==(const ImageMark&) const = default;
};

// What a client has mapped: a file of the host, or BARs of one of our devices, which answer or not.
enum class MappedKind { kOrdinary, kBar, kSilentBar };

// Tells by the numbers of a mapped file.
class MappedFiles {
 public:
  virtual ~MappedFiles() = default;
  virtual MappedKind KindOf(dev_t device, ino_t inode) = 0;
};

// Whether a process may lock as much memory as it likes.
bool MayLockAll(pid_t process);

class Mm final : public AddressSpace {
 public:
  // The mm that thread `tid` of process `process` runs in now. ESRCH: gone; EACCES: out of reach,
  // with the missing privilege in the reason.
  static Result<std::shared_ptr<Mm>> Open(Turn& turn, MappedFiles& files, pid_t tid, pid_t process);

  // Whether thread `tid` of the same process still runs in this mm.
  bool StillBelongsTo(pid_t tid) const;

  bool Read(ClientAddress from, std::span<std::byte> to) override;
  bool Write(ClientAddress to, std::span<const std::byte> from) override;
  Result<u64, Unpinnable> CheckPinnable(ClientAddress start, u64 length,
                                        Permissions wanted) override;
  Result<> ChargeLocked(u64 pages) override;
  void UnchargeLocked(u64 pages) override { locked_pages_ -= pages; }

 private:
  // A mapping of the client that is shared memory, mapped here too.
  struct Window {
    Vma vma;
    std::byte* here;
    Window(const Vma& of, std::byte* at) : vma(of), here(at) {}
    ~Window();
  };

  Mm(Turn& turn, MappedFiles& files, pid_t process)
      : turn_(turn), files_(files), process_(process) {}
  // Shared, because a copy that waits for its page may outlast the list.
  std::shared_ptr<Window> WindowFor(u64 at);
  std::shared_ptr<Window> OpenWindow(const Vma& vma) const;
  // As FindVma(); may wait for the client, and others have the turn meanwhile.
  Result<Vma> VmaAt(u64 at) const;
  template <class Move>
  bool ForEachPart(u64 at, std::size_t count, bool write, Move move);

  Turn& turn_;
  MappedFiles& files_;
  pid_t process_;
  UniqueFd mem_;
  UniqueFd maps_;
  ImageMark mark_;
  u64 locked_pages_ = 0;
  std::vector<std::shared_ptr<Window>> windows_;
  u64 not_shared_first_ = 1, not_shared_last_ = 0;  // the last range found to be private
};

// The mm of each client that has made mappings, so that they share one.
class MmCache {
 public:
  MmCache(Turn& turn, MappedFiles& files) : turn_(turn), files_(files) {}
  // The mm in which `tid` runs now. Errors as Mm::Open().
  Result<std::shared_ptr<Mm>> Find(pid_t tid);
  // Lets go of the mm that is kept though nothing is mapped in it.
  void DropIdle() { latest_.reset(); }

 private:
  Turn& turn_;
  MappedFiles& files_;
  std::map<pid_t, pid_t> processes_;  // of thread ids seen
  std::map<pid_t, std::weak_ptr<Mm>> by_process_;
  std::shared_ptr<Mm> latest_;  // a client that maps and unmaps one range need not be opened anew
};

}  // namespace vfiolab
