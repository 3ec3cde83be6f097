// One thread of a hostile client: what it has at hand for its next step.
#pragma once
#include <unistd.h>

#include <cerrno>
#include <string>

#include "hostile/brink.hpp"
#include "hostile/dice.hpp"
#include "hostile/holdings.hpp"
#include "hostile/ledger.hpp"
#include "hostile/world.hpp"

namespace hostile {

// What the threads of a process have in common.
struct Process {
  World world;
  Ledger& ledger;
  Holdings holdings;
  uint64_t seed;
  pid_t supervisor;
  int mailbox[2];                 // descriptors on their way to other clients
  std::vector<std::string> self;  // the command that starts this client again
  int generation = 0;             // how often it has executed itself
};

class Thread {
 public:
  Thread(Process& of, uint64_t number)
      : process(of),
        holdings(of.holdings),
        dice(Mix(of.seed, number)),
        slot_(of.ledger.Take(of.supervisor, of.seed)) {}
  ~Thread() {
    if (slot_ != nullptr) slot_->tid = 0;
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  // Makes one call of the emulator, so that it is known who is inside one, and counts its result.
  template <class Function>
  long Call(Kind kind, Function function) {
    if (slot_ != nullptr) {
      slot_->since = NowMs();
      slot_->kind = kind;
    }
    errno = 0;
    const long result = static_cast<long>(function());
    const int error = errno;
    if (slot_ != nullptr) slot_->kind = Kind::kNone;
    process.ledger.Count(kind, result, error);
    errno = error;
    return result;
  }

  // Closes the descriptor if it is one.
  void Close(int fd) {
    if (fd > 2) Call(Kind::kClose, [&] { return close(fd); });
  }
  // Keeps the descriptor and closes the one whose place it takes.
  void Keep(Sort sort, int fd) {
    if (fd > 2) Close(holdings.Put(sort, fd, dice));
  }

  Slot* slot() { return slot_; }

  Process& process;
  Holdings& holdings;
  Dice dice;
  Brink brink;

 private:
  Slot* slot_;
};

// The steps, one or a few calls each.
void SetUp(Thread& thread);           // a group, its container, its device, as a driver would
void CallValid(Thread& thread);       // an ioctl as it should be
void CallMutated(Thread& thread);     // one with fields, place or descriptor gone wrong
void SweepCuts(Thread& thread);       // the next byte of the next struct that cannot be reached
void SweepWords(Thread& thread);      // the next boundary value in the next field
void CallSlowMemory(Thread& thread);  // an argument that userfaultfd never delivers
void AccessRegion(Thread& thread);
void DriveEdu(Thread& thread);
void MapRegion(Thread& thread);
void UseDescriptor(Thread& thread);  // what any descriptor can be asked: poll, dup, flags, seeks
void MakeEventfd(Thread& thread);
void CloseSomething(Thread& thread);
void PassDescriptor(Thread& thread);
void ForkChild(Thread& thread);
void ExecuteSelf(Thread& thread);
void ChangeMemory(Thread& thread);
void AccessSysfs(Thread& thread);

// One step of any kind.
void Step(Thread& thread);

}  // namespace hostile
