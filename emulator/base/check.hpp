// Our own bugs end here, in release builds too: going on would make the emulator lie.
#pragma once
#include <cstdio>
#include <cstdlib>

#define CHECK_OURS(condition)                                                              \
  do {                                                                                     \
    if (!(condition)) [[unlikely]] {                                                       \
      std::fprintf(stderr, "vfiolab: bug: %s at %s:%d\n", #condition, __FILE__, __LINE__); \
      std::abort();                                                                        \
    }                                                                                      \
  } while (false)
