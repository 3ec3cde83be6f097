// Catch2 3 under the name of Catch2 2, where a distribution has the newer one.
#pragma once
#include <catch2/catch_all.hpp>

using Catch::Approx;
