// Catch2 3 under the name of Catch2 2, where a distribution has the newer one.
#pragma once
#include <catch2/catch_all.hpp>

namespace Catch {

using Matchers::Equals;

inline Matchers::StringContainsMatcher Contains(const std::string& text) {
  return Matchers::ContainsSubstring(text);
}

}  // namespace Catch

using Catch::Approx;
