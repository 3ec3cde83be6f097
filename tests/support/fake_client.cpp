#include "support/fake_client.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "base/check.hpp"

namespace vfiolab::test {

void FakeMm::Map(u64 at, u64 size, Permissions permissions) {
  const bool added = regions_.emplace(at, Region{std::vector<std::byte>(size), permissions}).second;
  CHECK_OURS(added);
}

void FakeMm::Unmap(u64 at) { CHECK_OURS(regions_.erase(at) == 1); }

std::span<std::byte> FakeMm::Piece(u64 at, std::size_t size, Permissions* permissions) const {
  auto it = regions_.upper_bound(at);
  if (it == regions_.begin()) return {};
  --it;
  const u64 offset = at - it->first;
  if (offset >= it->second.bytes.size()) return {};
  if (permissions != nullptr) *permissions = it->second.permissions;
  const std::size_t left = it->second.bytes.size() - offset;
  return std::span{it->second.bytes}.subspan(offset, std::min(size, left));
}

void FakeMm::Poke(u64 at, std::span<const std::byte> from) {
  while (!from.empty()) {
    const auto piece = Piece(at, from.size());
    CHECK_OURS(!piece.empty());
    std::memcpy(piece.data(), from.data(), piece.size());
    from = from.subspan(piece.size());
    at += piece.size();
  }
}

void FakeMm::Peek(u64 at, std::span<std::byte> to) const {
  while (!to.empty()) {
    const auto piece = Piece(at, to.size());
    CHECK_OURS(!piece.empty());
    std::memcpy(to.data(), piece.data(), piece.size());
    to = to.subspan(piece.size());
    at += piece.size();
  }
}

bool FakeMm::Read(ClientAddress from, std::span<std::byte> to) {
  if (meanwhile) std::exchange(meanwhile, nullptr)();
  u64 at = Raw(from);
  while (!to.empty()) {
    Permissions permissions;
    const auto piece = Piece(at, to.size(), &permissions);
    if (dead_ || piece.empty() || !permissions.read) return false;
    std::memcpy(to.data(), piece.data(), piece.size());
    to = to.subspan(piece.size());
    at += piece.size();
  }
  return true;
}

bool FakeMm::Write(ClientAddress to, std::span<const std::byte> from) {
  if (meanwhile) std::exchange(meanwhile, nullptr)();
  stores.push_back({Raw(to), from.size()});
  u64 at = Raw(to);
  while (!from.empty()) {
    Permissions permissions;
    const auto piece = Piece(at, from.size(), &permissions);
    if (dead_ || piece.empty() || !permissions.write) return false;
    std::memcpy(piece.data(), from.data(), piece.size());
    from = from.subspan(piece.size());
    at += piece.size();
  }
  return true;
}

Result<u64, AddressSpace::Unpinnable> FakeMm::CheckPinnable(ClientAddress start, u64 length,
                                                            Permissions wanted) {
  const u64 counted = length;
  u64 at = Raw(start);
  const auto stop = [&](const char* why) {
    return Failure{Unpinnable{at - Raw(start), Error{EFAULT, why}}};
  };
  while (length > 0) {
    Permissions permissions;
    const auto piece = Piece(at, length, &permissions);
    if (piece.empty()) return stop("not mapped");
    if (!permissions.read || (wanted.write && !permissions.write)) return stop("forbidden");
    length -= piece.size();
    at += piece.size();
  }
  return counted;
}

Result<> FakeMm::ChargeLocked(u64 pages) {
  if (pages == 0) return {};
  if (locked_pages_ + pages > lock_limit_) return Fail(ENOMEM, "RLIMIT_MEMLOCK");
  locked_pages_ += pages;
  return {};
}

void FakeMm::UnchargeLocked(u64 pages) {
  CHECK_OURS(pages <= locked_pages_);
  locked_pages_ -= pages;
}

void FakeClient::Exec() {
  mm_->Die();
  mm_ = std::make_shared<FakeMm>();
}

Result<> FakeClient::Reach(u64 size) {
  if (size > buffer_left) return Fail(EFAULT, "the buffer ends");
  if (buffer_left != ~u64{0}) buffer_left -= size;
  return {};
}

int FakeClient::Add(Descriptor descriptor) {
  descriptors_.emplace(next_fd_, std::move(descriptor));
  return next_fd_++;
}

int FakeClient::AddEventfd(unsigned count) {
  return Add({UniqueFd(::eventfd(count, EFD_NONBLOCK | EFD_CLOEXEC)), nullptr});
}

int FakeClient::AddOpenFile(std::shared_ptr<OpenFile> file) {
  return Add({UniqueFd(), std::move(file)});
}

std::shared_ptr<OpenFile> FakeClient::Close(int fd) {
  auto node = descriptors_.extract(fd);
  CHECK_OURS(!node.empty());
  return std::move(node.mapped().file);
}

u64 FakeClient::Signals(int fd) {
  u64 count = 0;
  const ssize_t got = ::read(descriptors_.at(fd).eventfd.get(), &count, sizeof count);
  return got == sizeof count ? count : 0;
}

void FakeClient::Signal(int fd) {
  const u64 one = 1;
  CHECK_OURS(::write(descriptors_.at(fd).eventfd.get(), &one, sizeof one) == sizeof one);
}

Result<std::shared_ptr<AddressSpace>> FakeClient::address_space() {
  return std::shared_ptr<AddressSpace>(mm_);
}

Result<Eventfd> FakeClient::ImportEventfd(int fd) {
  const auto it = descriptors_.find(fd);
  if (it == descriptors_.end()) return Fail(EBADF, "not open");
  if (!it->second.eventfd) return Fail(EINVAL, "no eventfd");
  return Eventfd(UniqueFd(::fcntl(it->second.eventfd.get(), F_DUPFD_CLOEXEC, 0)));
}

Result<std::shared_ptr<OpenFile>> FakeClient::ImportOpenFile(int fd) {
  const auto it = descriptors_.find(fd);
  if (it == descriptors_.end()) return Fail(EBADF, "not open");
  return it->second.file;
}

Result<> FakeClient::Read(ClientAddress from, std::span<std::byte> to) {
  if (!mm_->Read(from, to)) return Fail(EFAULT, "unreadable");
  return {};
}

Result<> FakeClient::Write(ClientAddress to, std::span<const std::byte> from) {
  if (!mm_->Write(to, from)) return Fail(EFAULT, "unwritable");
  return {};
}

}  // namespace vfiolab::test
