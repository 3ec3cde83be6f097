#include "vfio/dirty_bitmap.hpp"

namespace vfiolab::vfio {

std::vector<u64> DirtyBitmap::Report(unsigned shift, u64 found) {
  const std::size_t end = pages_ / 64;
  const u64 last_pages = ~(~u64{0} << pages_ % 64);
  std::vector<u64> words(end + 2, ~u64{0});
  words[end] = left_[0] | last_pages;
  words[end + 1] = left_[1];
  const std::size_t reported = (pages_ + shift + 63) / 64;
  if (shift != 0) {
    for (std::size_t i = reported; i-- > 0;)
      words[i] = words[i] << shift | (i == 0 ? 0 : words[i - 1] >> (64 - shift));
    words[0] |= found;
  }
  left_ = {words[end] & ~last_pages, words[end + 1]};
  words.resize(reported);
  return words;
}

}  // namespace vfiolab::vfio
