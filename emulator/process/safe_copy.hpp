// Copies to and from memory that a client may cut short under our feet.
#pragma once
#include <cstddef>

namespace vfiolab {

// As memcpy; false when the file behind either side has lost the page (SIGBUS). One of the two is
// memory shared with a client.
bool SafeCopy(void* to, const void* from, std::size_t count);

}  // namespace vfiolab
