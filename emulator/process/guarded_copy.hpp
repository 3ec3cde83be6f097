// Access to memory of this process that may not be there, or that somebody takes away meanwhile.
#pragma once
#include <cstddef>

namespace vfiolab {

// Before the first of those below, and again where somebody may have set a handler of SIGSEGV or
// SIGBUS that does not ask the one before it.
void ExpectFaults();

// As memcpy; false when a byte cannot be read or written (SIGSEGV, SIGBUS). A part may have been
// moved then. Up to 8 bytes with natural alignment are moved in one piece.
bool GuardedCopy(void* to, const void* from, std::size_t count);

// Whether the byte can be read; with `write` also written, which leaves it as it is.
bool GuardedTouch(void* at, bool write);

}  // namespace vfiolab
