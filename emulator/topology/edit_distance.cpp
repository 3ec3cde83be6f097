#include "topology/edit_distance.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

constexpr std::size_t kLongestWord = 64;  // longer ones are not typed by hand

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

}  // namespace

std::size_t EditDistance(std::string_view a, std::string_view b, std::size_t limit) {
  // Three rows of the usual table: this one, the one before and (for swaps) the one before that.
  std::vector<std::size_t> before_last(b.size() + 1);
  std::vector<std::size_t> last(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(last.begin(), last.end(), std::size_t{0});
  std::size_t last_least = 0;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const char x = Lower(a[i - 1]);
      const char y = Lower(b[j - 1]);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (x == y ? 0 : 1)});
      if (i > 1 && j > 1 && x == Lower(b[j - 2]) && y == Lower(a[i - 2]))
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    const std::size_t least = *std::min_element(row.begin(), row.end());
    // The next rows come from this one or, by a swap that costs 1, from the one before.
    if (least > limit && last_least >= limit) return least;
    last_least = least;
    std::swap(before_last, last);
    std::swap(last, row);
  }
  return last[b.size()];
}

std::optional<std::string> Nearest(std::string_view word,
                                   const std::vector<std::string>& candidates) {
  if (word.size() > kLongestWord) return std::nullopt;
  std::size_t best = word.size() <= 4 ? 1 : 2;  // two slips in a short word make another word
  const std::string* nearest = nullptr;
  for (const std::string& candidate : candidates) {
    if (candidate.size() > word.size() + best || word.size() > candidate.size() + best) continue;
    const std::size_t distance = EditDistance(word, candidate, best);
    if (distance > best || (nearest != nullptr && distance == best)) continue;
    best = distance;
    nearest = &candidate;
  }
  if (nearest == nullptr) return std::nullopt;
  return *nearest;
}

std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates,
                       std::string otherwise) {
  const auto nearest = Nearest(word, candidates);
  return nearest ? "did you mean " + Quote(*nearest) + "?" : std::move(otherwise);
}

std::string OneOf(const std::vector<std::string>& candidates, std::string otherwise) {
  if (candidates.empty()) return otherwise;
  std::string text = candidates.size() == 1 ? "give " : "give one of ";
  for (std::size_t i = 0; i < candidates.size(); ++i)
    text += (i == 0 ? "" : ", ") + Quote(candidates[i]);
  return text;
}

}  // namespace vfiolab::topology
