// Zydis, which Debian has as a shared library only, out of sight of the program: that may have
// functions of the same names. What the decoder calls leads there.
#pragma once

namespace vfiolab::preload {

// Before the first instruction is decoded, and not from a signal's handler. False: the library is
// not there, so that no instruction is known.
bool LoadZydis();

}  // namespace vfiolab::preload
