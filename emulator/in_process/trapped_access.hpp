// Loads and stores of this process on registers that it has mapped: each faults, and is made here.
#pragma once
#include <functional>
#include <span>

#include "base/result.hpp"
#include "in_process/windows.hpp"

namespace vfiolab::in_process {

// Who makes accesses in windows that trap.
class TrapServer {
 public:
  virtual ~TrapServer() = default;
  virtual const Windows& windows() const = 0;
  // Has `serve` called while no other thread is there.
  virtual void InTurn(const std::function<void()>& serve) = 0;
  // The value of the result is the number of bytes moved. EIO: nothing answers.
  virtual Result<> Load(const Window& window, u64 address, std::span<std::byte> to) = 0;
  virtual Result<> Store(const Window& window, u64 address, std::span<const std::byte> from) = 0;
};

// As long as this lives, faults of this process in `server`'s windows are seen to. The signal goes
// on to others where nothing answers, or where the instruction is not known, which is said on
// standard error.
class Trapping {
 public:
  explicit Trapping(TrapServer& server);
  ~Trapping();
  Trapping(const Trapping&) = delete;
  Trapping& operator=(const Trapping&) = delete;

 private:
  TrapServer& server_;
};

}  // namespace vfiolab::in_process
