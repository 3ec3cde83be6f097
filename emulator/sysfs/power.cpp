// power: the machine can be asked to sleep. It wakes up at once.
#include "sysfs/parts.hpp"
#include "sysfs/waiting.hpp"

namespace vfiolab::sysfs {
namespace {

constexpr std::string_view kStates = "freeze standby mem";

// Up to the end of the line (kernel/power/main.c decode_state).
bool IsState(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  return text == "freeze" || text == "standby" || text == "mem";
}

}  // namespace

void AddPower(Tree& tree, Machine& machine) {
  if (!machine.suspend_listener()) return;
  tree.Writable(
      "power/state", [] { return std::string(kStates) + "\n"; },
      [&machine](std::string_view text) -> Reply {
        if (!IsState(text)) return Fail(EINVAL, "no state that the machine can go to");
        return WriteThatWaits(static_cast<long>(text.size()),
                              [&](auto done) { machine.suspend_listener()(std::move(done)); });
      });
}

}  // namespace vfiolab::sysfs
