#include "transport/cuse_server.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/trace.hpp"

namespace vfiolab {
namespace {

std::optional<dev_t> NumberOf(const struct statx& found) {
  if (!S_ISCHR(found.stx_mode)) return std::nullopt;
  return makedev(found.stx_rdev_major, found.stx_rdev_minor);
}

}  // namespace

CuseServer::CuseServer(EventLoop& loop, FileCalls& calls, CuseHost& host, Directory& nodes,
                       Options options)
    : loop_(loop),
      calls_(calls),
      host_(host),
      nodes_(nodes),
      options_(std::move(options)),
      inquiry_([this](int fd, u64 question) { host_.Ask(fd, Inquiry::kCommand, question); },
               Inquiry::Close::kWaits) {
  calls_.AddSource(*this);
  calls_.AddTaker([this] { return TakeRequest(); });
}

Result<> CuseServer::Start() {
  nodes_.set_on_change([this](const std::string& name) { OnChange(name); });
  for (const auto& [name, node] : nodes_.entries())
    if (auto device = std::dynamic_pointer_cast<DeviceNode>(node))
      TRY(Add(name, std::move(device)));
  return {};
}

void CuseServer::Stop() {
  nodes_.set_on_change(nullptr);
  places_.clear();
  for (auto& [number, channel] : channels_) channel->Close();
  channels_.clear();
}

void CuseServer::OnChange(const std::string& name) {
  if (const auto place = places_.extract(name)) {
    host_.TakeAway(name);
    place.mapped()->Retire();
  }
  auto node = std::dynamic_pointer_cast<DeviceNode>(nodes_.Lookup(name));
  if (node == nullptr) return;
  if (const auto added = Add(name, std::move(node)); !added)
    fmt::print(stderr, "vfiolab: {}/{} is missing: {}\n", options_.path, name,
               added.error().reason);
}

Result<> CuseServer::Add(const std::string& name, std::shared_ptr<DeviceNode> node) {
  CuseChannel::Owner owner{
      .before_call = options_.before_call,
      .is_asking = [this](pid_t tid) { return inquiry_.IsAsking(tid); },
      .on_inquiry = [this](u64 question, u64 handle) { inquiry_.Answer(question, handle); },
      .on_dead = [this](CuseChannel& channel) { Forget(channel); }};
  // A name is taken until the last file is closed; the node of that name may be back before.
  const std::string device = fmt::format("{}/{}-{}", options_.prefix, ++made_, name);
  const mode_t permissions = node->mode();
  auto channel = TRY(CuseChannel::Open(loop_, calls_, host_, std::move(owner), device,
                                       fmt::format("{}/{}", options_.path, name), std::move(node),
                                       FreeNumber()));
  TRY(host_.Place(name, permissions, channel->number()));
  {
    const std::scoped_lock lock(mutex_);
    numbers_.insert(channel->number());
  }
  channels_[channel->number()] = channel;
  places_[name] = channel;
  channel->Start();
  return {};
}

// All have one major number, of which the first device got a part from the kernel: it has few.
dev_t CuseServer::FreeNumber() const {
  if (channels_.empty()) return 0;
  const unsigned common = major(channels_.begin()->first);
  unsigned free_minor = 0;
  while (channels_.contains(makedev(common, free_minor))) ++free_minor;
  return makedev(common, free_minor);
}

void CuseServer::Forget(CuseChannel& channel) {
  std::erase_if(places_, [&](const auto& place) { return place.second.get() == &channel; });
  channels_.erase(channel.number());
  const std::scoped_lock lock(mutex_);
  numbers_.erase(channel.number());
}

bool CuseServer::TakeRequest() {
  std::vector<pollfd> ready;
  std::vector<std::shared_ptr<CuseChannel>> channels;
  for (const auto& [number, channel] : channels_) {
    ready.push_back({channel->fd(), POLLIN, 0});
    channels.push_back(channel);
  }
  if (::poll(ready.data(), ready.size(), 0) <= 0) return false;
  for (std::size_t i = 0; i < ready.size(); ++i)
    if (ready[i].revents != 0) return channels[i]->TakeRequest();
  return false;
}

bool CuseServer::Owns(const struct statx& found) const {
  const auto number = NumberOf(found);
  if (!number) return false;
  const std::scoped_lock lock(mutex_);
  return numbers_.contains(*number);
}

Result<std::shared_ptr<OpenFile>> CuseServer::Find(pid_t tid, int fd, const struct statx& found) {
  const auto channel = channels_.at(NumberOf(found).value());
  return calls_.Find(
      inquiry_.Ask(tid, fd, found, channel->fd(), [&] { return channel->TakeInquiry(); }));
}

}  // namespace vfiolab
