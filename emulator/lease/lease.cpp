#include "lease/lease.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace vfiolab::lease {
namespace {

std::string SocketPath(const std::string& directory) { return directory + "/owner"; }

// The directory may have a long name: by its descriptor it is short.
sockaddr_un AddressOf(const UniqueFd& directory, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = fmt::format("/proc/self/fd/{}/{}", directory.get(), name);
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  return address;
}

UniqueFd OpenDirectory(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

}  // namespace

Lease::Lease(std::string directory) : directory_(std::move(directory)) { OpenLock(); }

void Lease::OpenLock() {
  lock_.Reset(::open((directory_ + "/lease").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
}

Lease::~Lease() { Return(); }

// A lock of the open file, which a copy of this process shares.
bool Lease::Take() {
  if (held()) return true;
  struct flock whole {};
  whole.l_type = F_WRLCK;
  if (::fcntl(lock_.get(), F_OFD_SETLK, &whole) != 0) return false;
  while (number_ == 0)
    if (::getrandom(&number_, sizeof number_, 0) != sizeof number_) number_ = 0;
  if (!Listen()) Return();
  return held();
}

// Under a name of its own first, so that whoever finds the socket can connect.
bool Lease::Listen() {
  const std::string own = fmt::format("owner.{}", ::getpid());
  if (!listener_) {
    listener_.Reset(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const UniqueFd directory = OpenDirectory(directory_);
    const sockaddr_un address = AddressOf(directory, own);
    ::unlink((directory_ + "/" + own).c_str());
    constexpr int kQueue = 128;
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
        ::listen(listener_.get(), kQueue) != 0) {
      listener_.Reset();
      return false;
    }
  }
  return ::rename((directory_ + "/" + own).c_str(), SocketPath(directory_).c_str()) == 0;
}

// Who connects from now on has to ask anew.
void Lease::Return() {
  if (!held()) return;
  ::unlink(SocketPath(directory_).c_str());
  listener_.Reset();
  number_ = 0;
  struct flock whole {};
  whole.l_type = F_UNLCK;
  ::fcntl(lock_.get(), F_OFD_SETLK, &whole);
}

void Lease::Forget() {
  OpenLock();
  number_ = 0;
  listener_.Reset();
}

bool Lease::IsElsewhere() const {
  struct flock whole {};
  whole.l_type = F_WRLCK;
  return ::fcntl(lock_.get(), F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;
}

UniqueFd Lease::Connect() const {
  constexpr useconds_t kPause = 1000;
  constexpr int kTries = 1000;  // who has the lock may be a child that knows nothing of it
  const UniqueFd place = OpenDirectory(directory_);
  const sockaddr_un address = AddressOf(place, "owner");
  for (int i = 0; i < kTries; ++i) {
    UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
      return socket;
    if (!IsElsewhere()) break;
    ::usleep(kPause);
  }
  return UniqueFd();
}

}  // namespace vfiolab::lease
