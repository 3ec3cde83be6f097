// Whose turn it is to run the core. One thread at a time; but a thread that waits for a client's
// memory (a page that userfaultfd or a hung file system holds back) loses its turn to another.
#pragma once
#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "base/bytes.hpp"

namespace vfiolab {

// A call of a client that is under way.
class CutOff {
 public:
  virtual ~CutOff() = default;
  // Ends it with EFAULT, unless it has ended; from any thread.
  virtual void OnCutOff() = 0;
};

class Turn {
 public:
  // How long the core waits for a client's memory before others go on, and before the client is
  // told EFAULT and all its memory is out of reach.
  static constexpr std::chrono::milliseconds kPatience{25};
  static constexpr std::chrono::milliseconds kCutOff{2000};

  Turn();
  ~Turn();
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;

  // Waits for the turn; false when Stop() was called. One that comes back from a client's memory
  // goes first.
  bool Take();
  void Give();
  // Nobody gets the turn any more.
  void Stop();
  // Takes the turn for good. False when a client still holds threads back: these never go on, and
  // this object must outlive them.
  bool Finish();

  // `relieve`: another thread has got the turn, one more should wait for it. `wake`: the holder
  // should look at wanted(). Called from any thread, quick, without taking the turn. Set before
  // the first Take().
  void SetCallbacks(std::function<void()> relieve, std::function<void()> wake) {
    relieve_ = std::move(relieve);
    wake_ = std::move(wake);
  }
  // True when a thread waits to come back: the holder should give the turn at its next chance.
  bool wanted() const { return returning_.load(std::memory_order_relaxed) > 0; }

  // Around one touch of client memory, by the holder of the turn. After it the thread holds the
  // turn again, however long that took.
  class ClientAccess {
   public:
    ClientAccess(Turn& turn, pid_t client) : turn_(turn), number_(turn.Begin(client)) {}
    ~ClientAccess() { turn_.End(number_); }
    ClientAccess(const ClientAccess&) = delete;
    ClientAccess& operator=(const ClientAccess&) = delete;

   private:
    Turn& turn_;
    u64 number_;
  };

  // What the holder does on behalf of a client, as long as this lives: told by the watchdog, on
  // another thread, at most once, when that client is cut off.
  class Call {
   public:
    Call(Turn& turn, std::shared_ptr<CutOff> call) : turn_(turn) { turn_.call_ = std::move(call); }
    ~Call() { turn_.call_.reset(); }
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

   private:
    Turn& turn_;
  };

  // Whether the calling thread lost its turn since it took it last. Others have then taken over
  // what it did, and it should end.
  static bool lost();

  // Whether this client (a thread id) belongs to a process that was cut off. Costs one load while
  // no client is slow.
  bool IsCutOff(pid_t client);

 private:
  struct Stuck {
    u64 access;
    pid_t process;  // thread group; 0 when it is already gone
    std::chrono::steady_clock::time_point since;
    std::shared_ptr<CutOff> call;
    bool is_cut_off = false;
    bool returned = false;
  };

  static constexpr int kMostStuck = 1024;

  u64 Begin(pid_t client);
  void End(u64 number);
  void Return(u64 number);
  void Watch();
  void LookForSlowClients();

  std::mutex mutex_;
  std::condition_variable free_;
  bool taken_ = false;
  bool holder_was_lost_ = false;  // what lost() says in the thread that holds the turn
  std::atomic<int> returning_{0};

  std::atomic<u64> access_{0};  // the access under way; 0: none
  pid_t access_client_ = 0;
  u64 last_access_ = 0;
  std::shared_ptr<CutOff> call_;
  std::function<void()> relieve_ = [] {};
  std::function<void()> wake_ = [] {};

  std::list<Stuck> stuck_;
  std::atomic<int> stuck_count_{0};
  u64 seen_access_ = 0;
  bool stopping_ = false;
  bool finishing_ = false;
  std::condition_variable stop_;
  std::thread watchdog_;
};

// The thread group of `tid`; 0 when the thread is gone.
pid_t ThreadGroupOf(pid_t tid);

}  // namespace vfiolab
