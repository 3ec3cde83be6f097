// The ioctls by their names, and the fields of their structs.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace player {

struct Field {
  std::string_view name;
  unsigned offset;
  unsigned size;
  enum class Style { kDecimal, kHex, kSigned } style;
};

struct IoctlShape {
  enum class Argument { kValue, kText, kDescriptor, kStruct };
  std::string_view name;
  std::uint32_t command;
  Argument argument;
  unsigned size = 0;  // of the struct; fields behind it are an extension that is there when given
  std::vector<Field> fields;
  enum class Tail { kBytes, kCapabilities, kDevices } tail = Tail::kBytes;
};

// Null for names that are unknown.
const IoctlShape* FindIoctl(std::string_view name);

}  // namespace player
