#include "vfs/netlink.hpp"

#include <linux/netlink.h>

namespace vfiolab {

NetlinkAttributes& NetlinkAttributes::Add(u16 type, std::span<const std::byte> data) {
  const nlattr header{static_cast<u16>(NLA_HDRLEN + data.size()), type};
  const auto head = BytesOf(header);
  bytes_.insert(bytes_.end(), head.begin(), head.end());
  bytes_.insert(bytes_.end(), data.begin(), data.end());
  bytes_.resize(NLA_ALIGN(bytes_.size()));
  return *this;
}

NetlinkAttributes& NetlinkAttributes::Add(u16 type, std::string_view text) {
  std::vector<std::byte> data(text.size() + 1);
  std::memcpy(data.data(), text.data(), text.size());
  return Add(type, data);
}

std::optional<std::span<const std::byte>> FindAttribute(std::span<const std::byte> attributes,
                                                        u16 type) {
  std::optional<std::span<const std::byte>> found;
  while (attributes.size() >= NLA_HDRLEN) {
    nlattr header;
    std::memcpy(&header, attributes.data(), sizeof header);
    if (header.nla_len < NLA_HDRLEN || header.nla_len > attributes.size()) break;
    if ((header.nla_type & NLA_TYPE_MASK) == type)
      found = attributes.subspan(NLA_HDRLEN, header.nla_len - std::size_t{NLA_HDRLEN});
    attributes =
        attributes.subspan(std::min<std::size_t>(NLA_ALIGN(header.nla_len), attributes.size()));
  }
  return found;
}

}  // namespace vfiolab
