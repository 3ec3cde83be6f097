#include "compare/player.hpp"

#include <fmt/format.h>
#include <linux/pci_regs.h>

#include <algorithm>
#include <set>

#include "base/trace.hpp"

namespace vfiolab::compare {
namespace {

constexpr u64 kFirstIova = 0x100000;

class Player {
 public:
  Player(const Scenario& scenario, const GenerationRow& row)
      : stage_(scenario, row.kernel), generation_(row.make(stage_)) {}

  Outcome Do(const Step& step) {
    Outcome outcome;
    for (const std::string& device : step.devices) {
      outcome = Do(step, device);
      if (outcome.text != "ok" && outcome.text != "reaches") break;
    }
    return outcome;
  }
  unsigned calls() const { return stage_.calls(); }

 private:
  // By process and device.
  using Key = std::pair<unsigned, std::string>;

  Outcome Do(const Step& step, const std::string& device) {
    if (step.deed == Deed::kDma) return {Dma(device, step.page) ? "reaches" : "faults", ""};
    const Key key{step.process, device};
    if (step.deed == Deed::kClose) return Close(key);
    Handle& handle = handles_[key];
    Process& process = stage_.process(step.process);
    const bool can = step.deed == Deed::kOpen ? handle.node < 0 : handle.node >= 0;
    const bool needs_space = step.deed == Deed::kMap || step.deed == Deed::kUnmap;
    if (!can || (needs_space && handle.space < 0)) return {"-", ""};
    const Result<> done = Act(step, device, process, handle);
    if (done) return {"ok", ""};
    return {ErrnoName(done.error().code), done.error().reason};
  }

  Result<> Act(const Step& step, const std::string& device, Process& process, Handle& handle) {
    const u64 iova = kFirstIova + step.page * kPageSize;
    const u64 address = Process::kPages + step.page * kPageSize;
    switch (step.deed) {
      case Deed::kOpen:
        if (const int group = OpenGroup(step.process, device); group >= 0) {
          handle.node = group;
          return {};
        }
        return generation_->Open(process, device, handle);
      case Deed::kSpace:
        return generation_->GetSpace(process, device, handle);
      case Deed::kShare:
        return generation_->Share(process, device, handle, handles_[{step.process, step.with}]);
      case Deed::kMap:
        return generation_->Map(process, handle, iova, address);
      default:
        return generation_->Unmap(process, handle, iova, address);
    }
  }

  // The descriptor that the process has of the device's group, if it has one.
  int OpenGroup(unsigned process, const std::string& device) {
    if (!generation_->nodes_are_groups()) return -1;
    for (const auto& [key, handle] : handles_)
      if (key.first == process && key.second != device && handle.node >= 0 &&
          stage_.group(key.second) == stage_.group(device))
        return handle.node;
    return -1;
  }

  // What is opened last goes first. A group that other devices use stays.
  Outcome Close(const Key& key) {
    const auto found = handles_.find(key);
    if (found == handles_.end() || found->second.node < 0) return {"-", ""};
    const Handle handle = found->second;
    handles_.erase(found);
    Process& process = stage_.process(key.first);
    for (auto fd = handle.opened.rbegin(); fd != handle.opened.rend(); ++fd) {
      const auto user = std::ranges::find_if(handles_, [&](const auto& entry) {
        return entry.first.first == key.first && entry.second.node == *fd;
      });
      if (user == handles_.end())
        stage_.Close(process, *fd);
      else
        user->second.opened.insert(user->second.opened.begin(), *fd);
    }
    return {"ok", ""};
  }

  bool Dma(const std::string& device, unsigned page) {
    DeviceSlot& slot = stage_.slot(device);
    slot.config().SetBits(PCI_COMMAND, 2, PCI_COMMAND_MASTER, true);
    u32 word = 0;
    return static_cast<bool>(slot.DmaRead(Iova{kFirstIova + page * kPageSize}, BytesOf(word)));
  }

  std::map<Key, Handle> handles_;
  Stage stage_;
  std::unique_ptr<Generation> generation_;
};

bool SameOutcomes(const Performance& a, const Performance& b) {
  return a.calls == b.calls &&
         std::ranges::equal(a.outcomes, b.outcomes, {}, &Outcome::text, &Outcome::text);
}

}  // namespace

Performance Play(const Scenario& scenario, const GenerationRow& row) {
  Player player(scenario, row);
  Performance performance{row.name, {}};
  for (const Step& step : scenario.steps) performance.outcomes.push_back(player.Do(step));
  performance.calls = player.calls();
  return performance;
}

std::string Render(const Scenario& scenario, const std::vector<Performance>& performances) {
  std::string text = fmt::format("{}: {}\n\n", scenario.name, scenario.question);
  for (std::size_t i = 0; i < scenario.steps.size(); ++i)
    text += fmt::format("{:>3}  {}\n", i + 1, scenario.steps[i].ToString());
  constexpr int kNames = 24, kCell = 8;
  text += fmt::format("\n{:{}}", "", kNames);
  for (std::size_t i = 0; i < scenario.steps.size(); ++i)
    text += fmt::format("{:<{}}", i + 1, kCell);
  text += "calls\n";
  std::set<const Performance*> told;
  std::string reasons;
  for (const Performance& performance : performances) {
    if (told.contains(&performance)) continue;
    std::vector<std::string> names;
    for (const Performance& other : performances)
      if (SameOutcomes(performance, other) && told.insert(&other).second)
        names.push_back(other.generation);
    for (std::size_t i = 0; i + 1 < names.size(); ++i) text += names[i] + "\n";
    text += fmt::format("{:<{}}", names.back(), kNames);
    for (std::size_t i = 0; i < performance.outcomes.size(); ++i) {
      const Outcome& outcome = performance.outcomes[i];
      text += fmt::format("{:<{}}", outcome.text, kCell);
      if (!outcome.reason.empty())
        reasons += fmt::format("{}, step {}: {}\n", names.front(), i + 1, outcome.reason);
    }
    text += fmt::format("{}\n", performance.calls);
  }
  return reasons.empty() ? text : text + "\n" + reasons;
}

}  // namespace vfiolab::compare
