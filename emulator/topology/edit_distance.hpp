// Finds what somebody probably meant to write.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vfiolab::topology {

// How many characters to insert, delete, replace or swap with their neighbour to make `a` of `b`;
// upper and lower case are the same. Beyond `limit` it stops counting and gives some number above.
std::size_t EditDistance(std::string_view a, std::string_view b,
                         std::size_t limit = std::string_view::npos);

// The candidate nearest to `word`; nothing when none is near enough to be a slip of the hand.
std::optional<std::string> Nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

// `did you mean "..."?` when a candidate is near, else `otherwise`.
std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates,
                       std::string otherwise);

// `give one of "a", "b"`, or `otherwise` when there is none.
std::string OneOf(const std::vector<std::string>& candidates, std::string otherwise);

}  // namespace vfiolab::topology
