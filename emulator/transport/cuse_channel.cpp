#include "transport/cuse_channel.hpp"

#include <fmt/format.h>
#include <linux/fuse.h>
#include <poll.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/trace.hpp"
#include "transport/inquiry.hpp"

namespace vfiolab {
namespace {

constexpr std::size_t kMostBytes = 128 * 1024;  // of one read or write
constexpr std::size_t kPacketSize = kMostBytes + kPageSize;
constexpr int kPatience = 2000;  // ms, for the kernel's first packet

// What follows the header of a packet, if it is that long.
template <class T>
std::optional<T> PayloadOf(std::span<const std::byte> packet) {
  if (packet.size() < sizeof(fuse_in_header) + sizeof(T)) return std::nullopt;
  T payload;
  std::memcpy(&payload, packet.data() + sizeof(fuse_in_header), sizeof payload);
  return payload;
}

// Only for packets that Receive() has let through.
fuse_in_header HeaderOf(std::span<const std::byte> packet) {
  fuse_in_header header;
  std::memcpy(&header, packet.data(), sizeof header);
  return header;
}

}  // namespace

// Closed by its channel, also while requests are open that come too late then.
struct CuseChannel::Connection {
  UniqueFd fd;

  bool Answer(u64 unique, int error, std::span<const std::byte> first = {},
              std::span<const std::byte> second = {}) const {
    fuse_out_header header{static_cast<u32>(sizeof header + first.size() + second.size()), -error,
                           unique};
    const std::array<iovec, 3> parts{{{&header, sizeof header},
                                      {const_cast<std::byte*>(first.data()), first.size()},
                                      {const_cast<std::byte*>(second.data()), second.size()}}};
    return ::writev(fd.get(), parts.data(), parts.size()) == static_cast<ssize_t>(header.len);
  }
};

class CuseChannel::CuseRequest final : public Request {
 public:
  CuseRequest(const CuseChannel& channel, const fuse_in_header& header)
      : Request({&channel, header.unique}, static_cast<pid_t>(header.pid)),
        connection_(channel.connection_) {}

  void AnswerRead(std::span<const std::byte> data) override { Answer(0, data); }
  void AnswerWrite(std::size_t count) override {
    const fuse_write_out out{static_cast<u32>(count), 0};
    Answer(0, BytesOf(out));
  }
  void AnswerIoctl(int result) override {
    const fuse_ioctl_out out{.result = result, .flags = 0, .in_iovs = 0, .out_iovs = 0};
    Answer(0, BytesOf(out));
  }
  void AnswerError(int code) override { Answer(code, {}); }
  void ExpectInterrupt() override {}  // each packet passes the channel anyway

  // False when nobody waits for the answer any more.
  bool Answer(int error, std::span<const std::byte> data) {
    const auto connection = connection_.lock();
    return connection != nullptr && connection->Answer(key().number, error, data);
  }

 private:
  std::weak_ptr<Connection> connection_;
};

CuseChannel::CuseChannel(EventLoop& loop, FileCalls& calls, Owner owner, std::string path,
                         std::shared_ptr<DeviceNode> node, UniqueFd fd)
    : loop_(loop),
      calls_(calls),
      owner_(std::move(owner)),
      path_(std::move(path)),
      node_(std::move(node)),
      connection_(std::make_shared<Connection>(std::move(fd))) {}

CuseChannel::~CuseChannel() { Close(); }

int CuseChannel::fd() const { return connection_ == nullptr ? -1 : connection_->fd.get(); }

Result<std::shared_ptr<CuseChannel>> CuseChannel::Open(EventLoop& loop, FileCalls& calls,
                                                       CuseHost& host, Owner owner,
                                                       std::string device, std::string path,
                                                       std::shared_ptr<DeviceNode> node,
                                                       dev_t wanted) {
  UniqueFd fd = TRY(host.Connect());
  auto channel = std::make_shared<CuseChannel>(loop, calls, std::move(owner), std::move(path),
                                               std::move(node), std::move(fd));
  TRY(channel->Introduce(host, device, wanted));
  return channel;
}

// The kernel makes the device while it takes the answer to its first packet.
Result<> CuseChannel::Introduce(CuseHost& host, const std::string& device, dev_t wanted) {
  pollfd state{fd(), POLLIN, 0};
  if (::poll(&state, 1, kPatience) != 1)
    return Fail(ETIMEDOUT, "the kernel does not begin with CUSE");
  const auto packet = Receive();
  const auto init = packet ? PayloadOf<cuse_init_in>(*packet) : std::nullopt;
  if (!init || HeaderOf(*packet).opcode != CUSE_INIT || init->major != FUSE_KERNEL_VERSION)
    return Fail(EPROTO, "the kernel begins with something else than CUSE 7");
  // Unrestricted: nothing is copied of what an argument points to, whatever the command's number
  // says, and no command is refused for it.
  const cuse_init_out out{.major = FUSE_KERNEL_VERSION,
                          .minor = std::min<u32>(init->minor, FUSE_KERNEL_MINOR_VERSION),
                          .unused = 0,
                          .flags = CUSE_UNRESTRICTED_IOCTL,
                          .max_read = kMostBytes,
                          .max_write = kMostBytes,
                          .dev_major = major(wanted),
                          .dev_minor = minor(wanted),
                          .spare = {}};
  const std::string name = "DEVNAME=" + device;
  connection_->Answer(HeaderOf(*packet).unique, 0, BytesOf(out),
                      std::as_bytes(std::span{name.c_str(), name.size() + 1}));
  number_ = TRY(host.NumberOf(device));
  node_->set_number(number_);
  return {};
}

void CuseChannel::Start() {
  descriptor_.emplace(loop_.context(), fd());
  Wait();
}

void CuseChannel::Wait() {
  descriptor_->async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](const boost::system::error_code& error) {
                            if (!error && !self->dead_) self->OnReadable();
                          });
}

void CuseChannel::OnReadable() {
  // Waits again first: this thread may be lost to the request that it now takes up.
  Wait();
  TakeRequest();
}

bool CuseChannel::TakeRequest() {
  const auto self = shared_from_this();
  owner_.before_call();
  if (!put_off_.empty()) {
    const Packet packet = std::move(put_off_.front());
    put_off_.pop_front();
    Handle(packet);
    return true;
  }
  const auto packet = Receive();
  if (!packet) return false;
  Handle(*packet);
  return true;
}

bool CuseChannel::TakeInquiry() {
  auto packet = Receive();
  if (!packet) return !dead_;
  const auto ioctl = PayloadOf<fuse_ioctl_in>(*packet);
  const fuse_in_header header = HeaderOf(*packet);
  if (ioctl && header.opcode == FUSE_IOCTL && ioctl->cmd == Inquiry::kCommand &&
      owner_.is_asking(static_cast<pid_t>(header.pid))) {
    Handle(*packet);
    return true;
  }
  put_off_.push_back(*std::move(packet));
  boost::asio::post(loop_.context(), [self = shared_from_this()] {
    if (!self->dead_) self->TakeRequest();
  });
  return true;
}

std::optional<CuseChannel::Packet> CuseChannel::Receive() {
  if (dead_) return std::nullopt;
  thread_local Packet buffer(kPacketSize);
  const ssize_t size = ::read(fd(), buffer.data(), buffer.size());
  if (size < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOENT)) return std::nullopt;
  if (size <= 0) {
    Die();  // ENODEV: the kernel has ended the connection
    return std::nullopt;
  }
  const auto count = static_cast<std::size_t>(size);
  if (count < sizeof(fuse_in_header)) return std::nullopt;
  Packet packet(buffer.begin(), buffer.begin() + size);
  if (const fuse_in_header header = HeaderOf(packet); header.len != count) {
    connection_->Answer(header.unique, EINVAL);
    return std::nullopt;
  }
  return packet;
}

void CuseChannel::Handle(const Packet& packet) {
  const fuse_in_header header = HeaderOf(packet);
  if (header.opcode == FUSE_INTERRUPT) {  // has no answer
    if (const auto in = PayloadOf<fuse_interrupt_in>(packet)) calls_.Interrupt({this, in->unique});
    return;
  }
  const auto request = std::make_shared<CuseRequest>(*this, header);
  switch (header.opcode) {
    case FUSE_OPEN:
      return HandleOpen(*request, packet);
    case FUSE_IOCTL:
      return HandleIoctl(request, packet);
    case FUSE_RELEASE:
      return HandleRelease(*request, packet);
    case FUSE_READ:
      if (const auto in = PayloadOf<fuse_read_in>(packet); in && in->size <= kMostBytes)
        return calls_.Read(request, in->size, in->offset, in->fh);
      break;
    case FUSE_WRITE:
      if (const auto in = PayloadOf<fuse_write_in>(packet)) {
        const auto data = std::span{packet}.subspan(sizeof header + sizeof *in);
        if (data.size() == in->size) return calls_.Write(request, data, in->offset, in->fh);
      }
      break;
    default:
      // poll: the kernel then says for itself that files like these are always ready.
      return request->AnswerError(ENOSYS);
  }
  request->AnswerError(EINVAL);
}

void CuseChannel::HandleOpen(CuseRequest& request, const Packet& packet) {
  const auto in = PayloadOf<fuse_open_in>(packet);
  if (!in) return request.AnswerError(EINVAL);
  if (retired_) return request.AnswerError(ENODEV);
  Reply reply = calls_.Open(request.tid(), *node_, path_, static_cast<int>(in->flags));
  Completion& completion = reply.completion();
  if (!completion.value) return request.AnswerError(completion.value.error().code);
  const u64 handle = calls_.Add(std::move(completion.opened));
  const fuse_open_out out{.fh = handle, .open_flags = FOPEN_DIRECT_IO};
  if (request.Answer(0, BytesOf(out)))
    handles_.insert(handle);
  else
    calls_.Release(calls_.Take(handle));  // the opener died meanwhile: it will not be released
}

void CuseChannel::HandleIoctl(const std::shared_ptr<CuseRequest>& request, const Packet& packet) {
  const auto in = PayloadOf<fuse_ioctl_in>(packet);
  if (!in) return request->AnswerError(EINVAL);
  if (in->cmd == Inquiry::kCommand && owner_.is_asking(request->tid())) {
    owner_.on_inquiry(in->arg, in->fh);
    return request->AnswerIoctl(0);
  }
  calls_.Ioctl(request, in->cmd, in->arg, in->fh);
}

void CuseChannel::HandleRelease(CuseRequest& request, const Packet& packet) {
  const auto in = PayloadOf<fuse_release_in>(packet);
  if (!in) return request.AnswerError(EINVAL);
  if (handles_.erase(in->fh) > 0) calls_.Release(calls_.Take(in->fh));
  request.Answer(0, {});
  if (retired_ && handles_.empty()) Die();
}

void CuseChannel::Retire() {
  retired_ = true;
  if (handles_.empty()) Die();
}

void CuseChannel::Close() {
  if (dead_) return;
  dead_ = true;
  if (descriptor_) descriptor_->release();  // the connection closes it
  connection_.reset();
}

void CuseChannel::Die() {
  if (dead_) return;
  const auto self = shared_from_this();
  Close();
  for (const u64 handle : std::exchange(handles_, {})) calls_.Release(calls_.Take(handle));
  owner_.on_dead(*this);
}

}  // namespace vfiolab
