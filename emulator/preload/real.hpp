// The functions that this library stands in for, as those behind it in the order of look-up.
#pragma once
#include <dlfcn.h>

// real(open)(path, flags) calls the C library's open.
#define real(name)                                                                               \
  ([]() -> decltype(&::name) {                                                                   \
    static const auto function = reinterpret_cast<decltype(&::name)>(::dlsym(RTLD_NEXT, #name)); \
    return function;                                                                             \
  }())
