// How results become those of functions of the C library.
#pragma once
#include <cerrno>

#include "base/result.hpp"

#define VFIOLAB_INTERPOSED extern "C" __attribute__((visibility("default")))

namespace vfiolab::preload {

// -1 and errno where it failed.
template <class T>
long Answer(Result<T> result) {
  if (!result) {
    errno = result.error().code;
    return -1;
  }
  if constexpr (requires { static_cast<long>(*result); })
    return static_cast<long>(*result);
  else
    return 0;
}

}  // namespace vfiolab::preload
