#include "support/event_bench.hpp"

#include "sysfs/sysfs.hpp"

namespace vfiolab::test {

EventBench::EventBench(std::string_view revision, std::vector<Placed> devices)
    : EarlyBench(revision, std::move(devices)), wide_(revision == "A5" || revision == "A6") {
  interfaces->uiommu->events().set_outlet(this);
  sysfs::AddSysfs(machine, sys_);
}

NetlinkAttributes EventBench::Address(Bdf bdf) const {
  NetlinkAttributes attributes;
  if (wide_)
    attributes.Add(2, u32{bdf.segment}).Add(3, u16{bdf.bus});
  else
    attributes.Add(2, bdf.segment).Add(3, bdf.bus);
  return attributes.Add(4, bdf.device).Add(5, bdf.function);
}

long EventBench::Message(u8 command, const NetlinkAttributes& attributes, NetlinkPeer from,
                         u32 sequence, u16 flags) {
  const genlmsghdr header{command, 1, 0};
  std::vector<std::byte> payload(sizeof header + attributes.bytes().size());
  std::memcpy(payload.data(), &header, sizeof header);
  std::ranges::copy(attributes.bytes(), payload.begin() + sizeof header);
  const auto result = door.Message(now, client.tid(), interfaces->uiommu->events(),
                                   {from, sequence, flags, payload});
  return result ? 0 : -result.error().code;
}

std::vector<int> EventBench::Commands() {
  std::vector<int> commands;
  for (const Sent& event : std::exchange(sent, {})) commands.push_back(event.command);
  return commands;
}

bool EventBench::Send(const NetlinkFamily&, const NetlinkPeer& to, const NetlinkEvent& event) {
  if (deaf.contains(to.port)) return false;
  const auto bytes = event.attributes.bytes();
  sent.push_back({to, event.sequence, event.command, {bytes.begin(), bytes.end()}});
  return true;
}

EventBench::Outcome EventBench::WriteAttribute(const std::string& path, std::string_view text) {
  const auto file = OpenAt(sys_, path, O_WRONLY).completion().opened;
  Must(file != nullptr);
  const auto outcome = std::make_shared<std::optional<long>>();
  const auto finish = [outcome](Completion done) {
    *outcome = done.value ? *done.value : -done.value.error().code;
  };
  Reply reply = door.Write(now, client, *file, std::as_bytes(std::span{text}), 0);
  if (reply.deferred())
    reply.pending()->OnDone(finish);
  else
    finish(std::move(reply.completion()));
  return outcome;
}

EventBench::Outcome EventBench::InjectError(std::string_view state, const std::string& device) {
  return WriteAttribute("class/vfio/" + device + "/inject_error", state);
}

EventBench::Outcome EventBench::AskForSleep(std::string_view state) {
  return WriteAttribute("power/state", state);
}

EventBench::Outcome EventBench::Unbind(Bdf bdf) {
  return WriteAttribute("bus/pci/drivers/vfio/unbind", bdf.ToString());
}

}  // namespace vfiolab::test
