#include "lease/owner.hpp"

#include <fmt/format.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <atomic>

#include "lease/remote_file.hpp"

namespace vfiolab::lease {

Owner::Owner(const Lease& lease, Aside aside) : lease_(lease), aside_(std::move(aside)) {}

void Owner::Forget() { free_.clear(); }

// A connection has one call at a time; a thread that calls while another waits takes another one.
Result<Owner::Answered> Owner::Ask(Request request, std::span<const std::byte> bytes) {
  request.tid = ::gettid();
  std::optional<Channel> channel;
  if (!free_.empty()) {
    channel = std::move(free_.back());
    free_.pop_back();
  } else {
    // Whoever makes our calls has to reach our memory.
    ::prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    channel.emplace(lease_.Connect());
  }
  std::optional<Answered> answered;
  if (channel->fd() >= 0 && channel->Send(request, bytes))
    aside_([&] { answered = channel->Receive<Answer>(true); });
  if (!answered) {
    free_.clear();  // the others are of the same process
    return Fail(kGone, "the process with the machine has gone");
  }
  free_.push_back(*std::move(channel));
  if (answered->head.value < 0)
    return Fail(static_cast<int>(-answered->head.value), "so says the process with the machine");
  return *std::move(answered);
}

void SayGone() {
  static std::atomic<bool> said{false};
  if (said.exchange(true)) return;
  fmt::print(stderr,
             "vfiolab: the process that had the machine has gone, and with it what process {} has "
             "open of that\n",
             ::getpid());
}

Completion Owner::Complete(Answered answered) {
  Completion completion{answered.head.value, nullptr, std::move(answered.bytes)};
  if (!answered.head.opened) return completion;
  completion.opened = std::make_shared<RemoteFile>(*this, answered.head.facts);
  completion.open_flags = answered.head.open_flags;
  completion.descriptor = std::make_shared<UniqueFd>(std::move(answered.descriptor));
  return completion;
}

Result<Completion> Owner::Open(const std::string& path, int flags) {
  return Complete(TRY(Ask({.kind = Request::Kind::kOpen, .arguments = {static_cast<u64>(flags)}},
                          std::as_bytes(std::span{path}))));
}

Result<std::shared_ptr<OpenFile>> Owner::Find(u64 lease, u64 file, std::string& path, int& flags) {
  Answered answered = TRY(Ask({.kind = Request::Kind::kFind, .lease = lease, .file = file}));
  path.assign(reinterpret_cast<const char*>(answered.bytes.data()), answered.bytes.size());
  flags = answered.head.open_flags;
  return Complete(std::move(answered)).opened;
}

Result<> Owner::SetAttributes(const std::string& path, std::optional<mode_t> mode,
                              DeviceNode::Owner owner) {
  const auto number = [](const auto& value) { return value ? u64{*value} + 1 : 0; };
  TRY(Ask({.kind = Request::Kind::kAttributes,
           .arguments = {number(mode), number(owner.user), number(owner.group)}},
          std::as_bytes(std::span{path})));
  return {};
}

Result<> Owner::Unmap(u64 address, u64 size) {
  TRY(Ask({.kind = Request::Kind::kUnmap, .arguments = {address, size}}));
  return {};
}

std::optional<long> Owner::Send(const SocketCall& call) {
  const auto answered =
      Ask({.kind = Request::Kind::kNetlink, .arguments = call.arguments}, BytesOf(call.number));
  if (!answered || !answered->head.opened) return std::nullopt;
  return answered->head.value;
}

}  // namespace vfiolab::lease
