#include "support/fake_cuse.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <array>
#include <cstring>

#include <catch2/catch.hpp>

namespace vfiolab::test {
namespace {

template <class T>
T Take(std::span<const std::byte> bytes) {
  T value{};
  REQUIRE(bytes.size() >= sizeof value);
  std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

FakeCuse::Bytes PacketOf(u32 opcode, u64 unique, std::span<const std::byte> payload) {
  fuse_in_header header{};
  header.len = static_cast<u32>(sizeof header + payload.size());
  header.opcode = opcode;
  header.unique = unique;
  header.pid = static_cast<u32>(::syscall(SYS_gettid));
  FakeCuse::Bytes packet(header.len);
  std::memcpy(packet.data(), &header, sizeof header);
  if (!payload.empty()) std::memcpy(packet.data() + sizeof header, payload.data(), payload.size());
  return packet;
}

const dev_t kFirstNumber = makedev(1, 3);

}  // namespace

FakeCuse::FakeCuse() = default;

FakeCuse::~FakeCuse() {
  for (auto& channel : channels_) {
    ::shutdown(channel->fd.get(), SHUT_RDWR);
    channel->reader.join();
  }
}

Result<UniqueFd> FakeCuse::Connect() {
  int sockets[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) == 0);
  ::fcntl(sockets[1], F_SETFL, O_NONBLOCK);
  auto channel = std::make_unique<Channel>();
  channel->fd.Reset(sockets[0]);
  UniqueFd theirs(sockets[1]);
  const cuse_init_in init{init_major, 38, 0, CUSE_UNRESTRICTED_IOCTL};
  const Bytes packet = PacketOf(init_opcode, 1, BytesOf(init));
  channel->device.header = Take<fuse_in_header>(packet);
  if (!silent) REQUIRE(::send(sockets[0], packet.data(), packet.size(), 0) > 0);
  channel->reader = std::thread([this, raw = channel.get()] { ReadAnswers(*raw); });
  const std::scoped_lock lock(mutex_);
  channels_.push_back(std::move(channel));
  return theirs;
}

void FakeCuse::ReadAnswers(Channel& channel) {
  std::array<std::byte, 200000> buffer;
  while (true) {
    const ssize_t size = ::recv(channel.fd.get(), buffer.data(), buffer.size(), 0);
    const std::scoped_lock lock(mutex_);
    if (size < static_cast<ssize_t>(sizeof(fuse_out_header))) {
      channel.closed = true;
      changed_.notify_all();
      return;
    }
    const auto packet = std::span{buffer}.first(static_cast<std::size_t>(size));
    const auto header = Take<fuse_out_header>(packet);
    const auto data = packet.subspan(sizeof header);
    channel.answers[header.unique] = {header.len == packet.size() ? -header.error : EIO,
                                      {data.begin(), data.end()}};
    if (header.unique == 1) {
      channel.device.answer = Take<cuse_init_out>(data);
      channel.device.name =
          reinterpret_cast<const char*>(data.subspan(sizeof(cuse_init_out)).data());
      const auto& answer = channel.device.answer;
      channel.device.number =
          answer.dev_major == 0 ? kFirstNumber : makedev(answer.dev_major, answer.dev_minor);
    }
    changed_.notify_all();
  }
}

Result<dev_t> FakeCuse::NumberOf(const std::string& device) {
  if (refuses) return Fail(ENOENT, "refused");
  std::unique_lock lock(mutex_);
  dev_t number = 0;
  const bool made = changed_.wait_for(lock, std::chrono::seconds(10), [&] {
    for (const auto& channel : channels_)
      if (channel->device.name == "DEVNAME=" + device) number = channel->device.number;
    return number != 0;
  });
  REQUIRE(made);
  return number;
}

Result<> FakeCuse::Place(const std::string& name, mode_t permissions, dev_t number) {
  const std::scoped_lock lock(mutex_);
  nodes_[name] = {permissions, number};
  return {};
}

void FakeCuse::TakeAway(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  nodes_.erase(name);
}

// Which one a duplicate is of is told by a number that the host keeps with the open file.
UniqueFd FakeCuse::DescriptorOf(u64 handle) {
  UniqueFd fd(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const std::scoped_lock lock(mutex_);
  handles_.push_back(handle);
  REQUIRE(::fcntl(fd.get(), F_SETSIG, static_cast<int>(handles_.size())) == 0);
  return fd;
}

void FakeCuse::Ask(int fd, u32 command, u64 argument) {
  const int mark = ::fcntl(fd, F_GETSIG);
  if (mark <= 0) return;  // another /dev/null
  std::unique_lock lock(mutex_);
  fuse_ioctl_in in{};
  in.fh = handles_.at(static_cast<std::size_t>(mark) - 1);
  in.cmd = command;
  in.arg = argument;
  lock.unlock();
  Call(kFirstNumber, FUSE_IOCTL, PayloadBytes(in));
}

dev_t FakeCuse::NodeNumber(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  return nodes_.contains(name) ? nodes_.at(name).second : 0;
}

mode_t FakeCuse::NodePermissions(const std::string& name) {
  const std::scoped_lock lock(mutex_);
  return nodes_.at(name).first;
}

FakeCuse::Channel& FakeCuse::Of(dev_t number) {
  // The youngest: a number may have been another device's before.
  for (auto it = channels_.rbegin(); it != channels_.rend(); ++it)
    if ((*it)->device.number == number) return **it;
  FAIL("no device has this number");
  std::abort();
}

FakeCuse::Device FakeCuse::DeviceOf(dev_t number) {
  const std::scoped_lock lock(mutex_);
  return Of(number).device;
}

bool FakeCuse::IsClosed(dev_t number) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, std::chrono::milliseconds(500), [&] { return Of(number).closed; });
}

void FakeCuse::Abort(dev_t number) {
  const std::scoped_lock lock(mutex_);
  ::shutdown(Of(number).fd.get(), SHUT_RDWR);
}

void FakeCuse::SendRaw(dev_t number, const Bytes& packet) {
  const std::scoped_lock lock(mutex_);
  ::send(Of(number).fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
}

u64 FakeCuse::Send(dev_t number, u32 opcode, const Bytes& payload) {
  const std::scoped_lock lock(mutex_);
  const u64 unique = last_unique_ += 2;
  const Bytes packet = PacketOf(opcode, unique, payload);
  ::send(Of(number).fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL);
  return unique;
}

FakeCuse::Answer FakeCuse::Await(dev_t number, u64 unique) {
  std::unique_lock lock(mutex_);
  Channel& channel = Of(number);
  const bool done = changed_.wait_for(lock, std::chrono::seconds(10), [&] {
    return channel.closed || channel.answers.contains(unique);
  });
  REQUIRE(done);
  return channel.answers.contains(unique) ? channel.answers.at(unique) : Answer{ENOTCONN, {}};
}

bool FakeCuse::IsAnswered(dev_t number, u64 unique) {
  const std::scoped_lock lock(mutex_);
  return Of(number).answers.contains(unique);
}

FakeCuse::Answer FakeCuse::Call(dev_t number, u32 opcode, const Bytes& payload) {
  return Await(number, Send(number, opcode, payload));
}

}  // namespace vfiolab::test
