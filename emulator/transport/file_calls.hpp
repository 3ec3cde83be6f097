// What all transports have in common: the table of open files, and the way of a call of a client
// through the Door and back.
#pragma once
#include <sys/stat.h>

#include <atomic>
#include <cerrno>
#include <map>
#include <unordered_map>
#include <vector>

#include "process/caller.hpp"
#include "transport/event_loop.hpp"
#include "transport/placement.hpp"

namespace vfiolab {

// One request of the kernel about an open file. It is answered once: whoever claims that right
// does it, from whichever thread; the others stay silent.
class Request : public CutOff {
 public:
  // Tells requests that are under way apart: by what they came, and their number there.
  struct Key {
    const void* channel;
    u64 number;
    auto operator<=>(const Key&) const = default;
  };

  Request(Key key, pid_t tid) : key_(key), tid_(tid) {}
  const Key& key() const { return key_; }
  pid_t tid() const { return tid_; }  // of the calling thread

  // True for the first who asks.
  bool Claim() { return !claimed_.exchange(true); }
  // After Claim():
  virtual void AnswerRead(std::span<const std::byte> data) = 0;
  virtual void AnswerWrite(std::size_t count) = 0;
  virtual void AnswerIoctl(int result) = 0;  // a value, or -errno
  virtual void AnswerError(int code) = 0;

  // The call waits: from now on its interruption has to come to FileCalls::Interrupt().
  virtual void ExpectInterrupt() = 0;

  void OnCutOff() override {
    if (Claim()) AnswerError(EFAULT);
  }

 private:
  friend class FileCalls;
  enum class Kind { kRead, kWrite, kIoctl };

  Key key_;
  pid_t tid_;
  std::atomic<bool> claimed_{false};
  // While FileCalls has it:
  Kind kind_{};
  std::shared_ptr<OpenFile> file_;
  std::vector<std::byte> data_;  // of a read
};

// Finds the open files behind descriptors of one kind.
class OpenFileSource {
 public:
  virtual ~OpenFileSource() = default;
  // By type, device and inode of a descriptor, as statx has them.
  virtual bool Owns(const struct statx& found) const = 0;
  // Of a client's descriptor that it owns; null when the file is not open any more. EBADF.
  virtual Result<std::shared_ptr<OpenFile>> Find(pid_t tid, int fd, const struct statx& found) = 0;
  // The file that a client has mapped; null when it is not one of these.
  virtual std::shared_ptr<OpenFile> FindMapped(dev_t, ino_t) { return nullptr; }
};

// In the core's turn, unless it says otherwise.
class FileCalls final : public OpenFileFinder, private MappedFiles {
 public:
  explicit FileCalls(EventLoop& loop);

  CallerServices& services() { return services_; }
  // Before the loop runs.
  void AddSource(OpenFileSource& source) { sources_.push_back(&source); }

  // `take` takes up one call that waits, and says false when there is none.
  void AddTaker(std::function<bool()> take) { takers_.push_back(std::move(take)); }
  // After a call was taken up: takes up what has come meanwhile. The client's next call is often
  // there when the answer to the last one has been written; where the client runs on another CPU,
  // it comes sooner than this thread could be woken.
  void StayAwake();
  // A client calls: this thread should be near it.
  void OnCall(pid_t tid);

  // A new handle for an open file; Take() ends it.
  u64 Add(std::shared_ptr<OpenFile> file);
  // Null when nothing is open under the handle.
  std::shared_ptr<OpenFile> Find(u64 handle) const;
  std::shared_ptr<OpenFile> Take(u64 handle);
  // The last descriptor is gone; nothing for null.
  void Release(std::shared_ptr<OpenFile> file);
  void Clear() { open_files_.clear(); }
  std::size_t open_file_count() const { return open_files_.size(); }

  Reply Open(pid_t tid, FileNode& node, std::string_view path, int flags);
  // Each answers the request, at once or when the call is done. EBADF: no such handle.
  void Read(const std::shared_ptr<Request>& request, std::size_t size, u64 offset, u64 handle);
  void Write(const std::shared_ptr<Request>& request, std::span<const std::byte> from, u64 offset,
             u64 handle);
  void Ioctl(const std::shared_ptr<Request>& request, u32 command, u64 argument, u64 handle);
  // A signal came for the caller of a request; nothing if it does not wait (any more). A signal
  // that does not end the call still does when it kills.
  void Interrupt(const Request::Key& key);

  Result<std::shared_ptr<OpenFile>> FindOpenFile(pid_t tid, int fd) override;

 private:
  MappedKind KindOf(dev_t device, ino_t inode) override;

  // False when no file is open under the handle: the request is then answered.
  bool Begin(const std::shared_ptr<Request>& request, Request::Kind kind, u64 handle);
  // Sends what a call came to; waits where it is deferred.
  void Finish(const std::shared_ptr<Request>& request, Reply reply);
  void Send(Request& request, Completion& completion);
  void WaitForDeaths();

  EventLoop& loop_;
  MmCache mms_;
  CallerServices services_;
  Placement placement_;
  std::vector<OpenFileSource*> sources_;
  std::vector<std::function<bool()>> takers_;
  std::size_t most_open_ = 0;  // files at a time, of late
  std::unordered_map<u64, std::shared_ptr<OpenFile>> open_files_;
  u64 last_handle_ = 0;
  u64 calls_ = 0;
  struct WaitingCall {
    std::function<void()> end;
    pid_t tid;
    bool ended_by_signals;  // by any of them
    bool was_interrupted = false;
  };
  std::map<Request::Key, WaitingCall> waiting_;  // deferred calls
  boost::asio::steady_timer deaths_;
  bool waits_for_deaths_ = false;
};

}  // namespace vfiolab
