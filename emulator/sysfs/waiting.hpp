// Writes that act, and those that wait until what they ask for is done: until nobody uses a device
// any more, or until clients have said what they think of it.
#pragma once
#include <memory>

#include "vfs/node.hpp"

namespace vfiolab::sysfs {

// Signals do not end it, as in the kernel.
class WaitingWrite final : public PendingCall {
 public:
  explicit WaitingWrite(long value) : value_(value) {}
  void OnDone(std::function<void(Completion)> done) override { done_ = std::move(done); }
  void Cancel() override { done_ = nullptr; }
  bool interruptible() const override { return false; }

  const std::optional<Result<long>>& outcome() const { return outcome_; }
  void Finish(Result<> result) {
    outcome_ = result ? Result<long>(value_) : Result<long>(Failure{std::move(result).error()});
    if (done_) done_(Completion{*outcome_, nullptr, {}});
  }

 private:
  long value_;
  std::optional<Result<long>> outcome_;
  std::function<void(Completion)> done_;
};

// The answer, which is `value` unless what `begin` begins ends with an error.
template <class Begin>
Reply WriteThatWaits(long value, Begin begin) {
  auto wait = std::make_shared<WaitingWrite>(value);
  begin([wait](Result<> result = {}) { wait->Finish(std::move(result)); });
  if (wait->outcome()) return *wait->outcome();
  return std::shared_ptr<PendingCall>(std::move(wait));
}

// What a write does that acts at once, and takes the whole text if that succeeds.
template <class Act>
TextFile::Store Acting(Act act) {
  return [act](std::string_view text) -> Reply {
    const Result<> done = act(text);
    if (!done) return Failure{done.error()};
    return static_cast<long>(text.size());
  };
}

// `unbind` of the driver `name` on a bus.
template <class Bus>
TextFile::Store Unbinding(Bus& bus, const std::string& name) {
  return [&bus, name](std::string_view text) -> Reply {
    Result<> begun;
    Reply reply = WriteThatWaits(static_cast<long>(text.size()), [&](auto done) {
      begun = bus.Unbind(name, text, std::move(done));
    });
    if (!begun) return Failure{begun.error()};
    return reply;
  };
}

}  // namespace vfiolab::sysfs
