#include "transport/cuse_server.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <array>

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
      answered_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
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
  CuseChannel::Owner owner{.before_call = options_.before_call,
                           .on_inquiry =
                               [this](u64 question, u64 handle) {
                                 const std::scoped_lock lock(mutex_);
                                 if (const auto answer = answers_.find(question);
                                     answer != answers_.end())
                                   answer->second = handle;
                               },
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

u64 CuseServer::Ask(pid_t tid, int fd) {
  auto copy = DuplicateDescriptor(tid, fd);
  if (!copy) return 0;
  const u64 handle = AskCopy(copy->get());
  closer_.Post([copy = std::move(*copy)]() mutable { copy.Reset(); });
  return handle;
}

u64 CuseServer::AskCopy(int fd) {
  const auto found = StatDescriptor(::getpid(), fd);
  if (!found || !Owns(*found)) return 0;  // the client has put another file in its place
  std::unique_lock lock(mutex_);
  const u64 question = ++questions_;
  answers_[question] = 0;
  lock.unlock();
  host_.Ask(fd, kCuseInquiry, question);
  lock.lock();
  return answers_.extract(question).mapped();
}

Result<std::shared_ptr<OpenFile>> CuseServer::Find(pid_t tid, int fd, const struct statx& found) {
  const auto channel = channels_.at(NumberOf(found).value());
  u64 handle = 0;
  asker_.Post([&] {
    handle = Ask(tid, fd);
    ::eventfd_write(answered_.get(), 1);
  });
  std::array<pollfd, 2> ready{{{answered_.get(), POLLIN, 0}, {channel->fd(), POLLIN, 0}}};
  while (true) {
    ::poll(ready.data(), ready.size(), -1);
    eventfd_t count = 0;
    if (::eventfd_read(answered_.get(), &count) == 0) break;
    // Of a dead connection the kernel answers by itself.
    if (ready[1].revents != 0 && !channel->TakeInquiry()) ready[1].fd = -1;
  }
  return calls_.Find(handle);
}

}  // namespace vfiolab
