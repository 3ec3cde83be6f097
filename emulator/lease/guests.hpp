// Other processes at the emulated host of this one: their calls are made here, as the daemon makes
// those of its clients.
#pragma once
#include <list>
#include <optional>

#include "in_process/process.hpp"
#include "lease/journal.hpp"
#include "lease/lease.hpp"
#include "lease/lent_files.hpp"
#include "lease/messages.hpp"
#include "process/caller.hpp"

namespace vfiolab::lease {

// In the host's turn. While this process has the lease.
class Guests final : private OpenFileFinder, private MappedFiles {
 public:
  // All of them outlive this.
  Guests(in_process::Process& process, Lease& lease, Journal& journal);
  ~Guests() override;

  // What is to be waited for, beside time.
  void AddDescriptors(std::vector<int>& fds) const;
  std::size_t descriptor_count() const;
  // Makes the calls that have come to `ready`, and lets go of files that nobody has any more.
  void Serve(const std::vector<int>& ready);
  void ReleaseReturned();

  LentFiles& lent() { return lent_; }
  // Whether nobody has a file, or waits for an answer.
  bool idle() const;
  // Ends all connections: who has asked meanwhile asks the next one.
  void Leave();

 private:
  struct Guest;
  struct Services;

  // OpenFileFinder, MappedFiles
  Result<std::shared_ptr<OpenFile>> FindOpenFile(pid_t tid, int fd) override;
  MappedKind KindOf(dev_t, ino_t) override { return MappedKind::kOrdinary; }

  // Also of one that was not lent, as nobody saw how another process got it.
  LentFiles::Shared FindFile(u64 number);

  using Message = Channel::Received<Request>;
  void Handle(Guest& guest, const Message& message);
  void HandleFile(Guest& guest, const Message& message, const LentFiles::Shared& opened);
  // Answers now, or when the call is done.
  void Finish(Guest& guest, Reply reply, std::string path, int flags,
              std::function<void(const Result<long>&)> done = {});
  void Send(Guest& guest, Completion completion, const std::string& path, int flags,
            std::span<const std::byte> bytes);
  Reply Open(Caller& caller, const std::string& path, int flags, std::string& found);
  void Read(Guest& guest, Caller& caller, const Message& message, OpenFile& file);
  void Write(Guest& guest, const Message& message, const in_process::OpenDescription& opened);
  void Mmap(Guest& guest, Caller& caller, const Message& message, OpenFile& file);
  void Netlink(Guest& guest, Caller& caller, const Message& message);

  in_process::Process& process_;
  Lease& lease_;
  Journal& journal_;
  LentFiles lent_;
  u64 last_file_ = 0;
  std::unique_ptr<Services> services_;
  std::list<std::shared_ptr<Guest>> guests_;
};

}  // namespace vfiolab::lease
