// String instructions: movs, stos, lods, cmps, scas, with and without repetition.
#pragma once
#include "mmio/decoder.hpp"
#include "mmio/execute.hpp"

namespace vfiolab::mmio {

// Executes so many elements as are due, but not too many at once: then rip stays, as if an
// interrupt had come between two elements.
Result<> RunString(const Decoded& decoded, StoppedThread& thread);

}  // namespace vfiolab::mmio
