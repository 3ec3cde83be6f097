#include "lease/journal.hpp"

#include <fcntl.h>
#include <sys/stat.h>

namespace vfiolab::lease {
namespace {

struct Header {
  u32 path_size;
  u32 text_size;
  u64 offset;
  u32 is_attributes;
  u32 has;  // bits: mode, user, group
  u32 mode;
  u32 user;
  u32 group;
  u32 unused;
};

}  // namespace

// The directory is as unique as the launcher that made it.
Journal::Journal(const std::string& directory)
    : file_(
          ::open((directory + "/journal").c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_APPEND, 0600)) {
  struct stat found {};
  if (::stat(directory.c_str(), &found) == 0)
    seed_ = found.st_ino * 0x9e3779b97f4a7c15u ^ static_cast<u64>(found.st_ctim.tv_sec) << 20;
}

void Journal::Append(const Entry& entry) {
  const Header header{.path_size = static_cast<u32>(entry.path.size()),
                      .text_size = static_cast<u32>(entry.text.size()),
                      .offset = entry.offset,
                      .is_attributes = entry.is_attributes,
                      .has = u32{entry.mode.has_value()} | u32{entry.owner.user.has_value()} << 1 |
                             u32{entry.owner.group.has_value()} << 2,
                      .mode = entry.mode.value_or(0),
                      .user = entry.owner.user.value_or(0),
                      .group = entry.owner.group.value_or(0),
                      .unused = 0};
  std::string all(reinterpret_cast<const char*>(&header), sizeof header);
  all += entry.path;
  all.append(reinterpret_cast<const char*>(entry.text.data()), entry.text.size());
  if (::write(file_.get(), all.data(), all.size()) == static_cast<ssize_t>(all.size()))
    read_ += static_cast<off_t>(all.size());
}

void Journal::Read(const std::function<void(const Entry&)>& take) {
  struct stat found {};
  if (::fstat(file_.get(), &found) != 0) return;
  while (read_ < found.st_size) {
    Header header{};
    if (::pread(file_.get(), &header, sizeof header, read_) != sizeof header) return;
    const std::size_t size = std::size_t{header.path_size} + header.text_size;
    std::string rest(size, '\0');
    if (::pread(file_.get(), rest.data(), size, read_ + off_t{sizeof header}) !=
        static_cast<ssize_t>(size))
      return;
    read_ += static_cast<off_t>(sizeof header + size);
    Entry entry{.path = rest.substr(0, header.path_size), .text = {}, .offset = header.offset};
    const auto* text = reinterpret_cast<const std::byte*>(rest.data() + header.path_size);
    entry.text.assign(text, text + header.text_size);
    entry.is_attributes = header.is_attributes != 0;
    if ((header.has & 1) != 0) entry.mode = header.mode;
    if ((header.has & 2) != 0) entry.owner.user = header.user;
    if ((header.has & 4) != 0) entry.owner.group = header.group;
    take(entry);
  }
}

}  // namespace vfiolab::lease
