#include "launcher/session.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "base/trace.hpp"
#include "launcher/descriptor_message.hpp"

namespace vfiolab::launcher {
namespace {

Result<sockaddr_un> AddressOf(const std::string& name) {
  const auto allowed = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = SessionDirectory() + "/" + name + ".sock";
  if (name.empty() || name.front() == '.' || !std::ranges::all_of(name, allowed) ||
      path.size() >= sizeof address.sun_path)
    return Fail(EINVAL, fmt::format("'{}' is no name for a session: use letters, digits, '-', '_' "
                                    "and '.'",
                                    name));
  std::memcpy(address.sun_path, path.c_str(), path.size());
  return address;
}

UniqueFd NewSocket() { return UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)); }

bool Connect(const UniqueFd& socket, const sockaddr_un& address) {
  return ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

std::string RunningSessions() {
  std::string names;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(SessionDirectory(), error))
    if (entry.path().extension() == ".sock")
      names += (names.empty() ? "" : ", ") + entry.path().stem().string();
  return names.empty() ? "none" : names;
}

struct Greeting {
  UniqueFd socket;
  std::string mount_point;
};

Result<Greeting> Greet(const std::string& name) {
  const sockaddr_un address = TRY(AddressOf(name));
  Greeting session{NewSocket(), {}};
  if (!Connect(session.socket, address))
    return Fail(ENOENT, fmt::format("no session '{}' runs (running: {}); start one with `vfiolab "
                                    "serve -t FILE --session {}`",
                                    name, RunningSessions(), name));
  std::array<char, 4096> mount_point{};
  const ssize_t size = ::recv(session.socket.get(), mount_point.data(), mount_point.size(), 0);
  if (size <= 0) return Fail(EPIPE, fmt::format("session '{}' does not answer", name));
  session.mount_point.assign(mount_point.data(), static_cast<std::size_t>(size));
  return session;
}

}  // namespace

Result<> CheckSessionName(const std::string& name) {
  TRY(AddressOf(name));
  return {};
}

std::string SessionDirectory() {
  if (::geteuid() == 0) return "/run/vfiolab";
  if (const char* runtime = std::getenv("XDG_RUNTIME_DIR"))
    return std::string(runtime) + "/vfiolab";
  return fmt::format("/tmp/vfiolab-{}", ::geteuid());
}

Result<std::unique_ptr<SessionServer>> SessionServer::Open(
    const std::string& name, const std::string& mount_point,
    std::function<void(UniqueFd)> on_listener) {
  const sockaddr_un address = TRY(AddressOf(name));
  std::error_code error;
  std::filesystem::create_directories(SessionDirectory(), error);
  if (Connect(NewSocket(), address))
    return Fail(EEXIST, fmt::format("a session '{}' already runs: choose another --session", name));
  ::unlink(address.sun_path);  // left by a session that was killed
  std::unique_ptr<SessionServer> server(new SessionServer);
  server->socket_ = NewSocket();
  const mode_t before = ::umask(0177);
  const bool bound = ::bind(server->socket_.get(), reinterpret_cast<const sockaddr*>(&address),
                            sizeof address) == 0;
  ::umask(before);
  if (!bound || ::listen(server->socket_.get(), 64) != 0)
    return Fail(errno, fmt::format("{}: {}", address.sun_path, ErrnoName(errno)));
  server->path_ = address.sun_path;
  server->mount_point_ = mount_point;
  server->on_listener_ = std::move(on_listener);
  server->stop_ = UniqueFd(::eventfd(0, EFD_CLOEXEC));
  server->thread_ = std::thread([raw = server.get()] { raw->Serve(); });
  return server;
}

SessionServer::~SessionServer() {
  if (thread_.joinable()) {
    ::eventfd_write(stop_.get(), 1);
    thread_.join();
  }
  if (!path_.empty()) ::unlink(path_.c_str());
}

void SessionServer::Serve() {
  while (true) {
    std::array<pollfd, 2> ready{{{socket_.get(), POLLIN, 0}, {stop_.get(), POLLIN, 0}}};
    ::poll(ready.data(), ready.size(), -1);
    if (ready[1].revents != 0) return;
    if (ready[0].revents == 0) continue;
    UniqueFd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client)
      ServeClient(std::move(client));
    else
      ::poll(&ready[1], 1, 100);  // no descriptor is left: there may be, soon
  }
}

void SessionServer::ServeClient(UniqueFd client) {
  // A client that says nothing must not keep the others waiting.
  const timeval patience{2, 0};
  ::setsockopt(client.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::send(client.get(), mount_point_.data(), mount_point_.size(), MSG_NOSIGNAL) < 0) return;
  std::byte byte{};
  auto message = ReceiveDescriptor(client.get(), std::span{&byte, 1});
  if (!message.descriptor) return;
  on_listener_(std::move(message.descriptor));
  ::send(client.get(), &byte, 1, MSG_NOSIGNAL);
}

Result<std::string> FindSession(const std::string& name) { return TRY(Greet(name)).mount_point; }

Result<> JoinSession(const std::string& name, UniqueFd listener) {
  const Greeting session = TRY(Greet(name));
  char taken = 0;
  if (!SendDescriptor(session.socket.get(), listener.get()) ||
      ::recv(session.socket.get(), &taken, 1, 0) != 1)
    return Fail(EPIPE, fmt::format("session '{}' did not take the client", name));
  return {};
}

}  // namespace vfiolab::launcher
