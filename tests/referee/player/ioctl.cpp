#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "client.hpp"

namespace player {
namespace {

constexpr std::uint32_t kFeatureIndexMask = 0xffff, kFeatureDmaBuf = 11;
constexpr std::uint32_t kGetDeviceFd = 0x3b6a, kFeature = 0x3b75;

std::uint64_t Load(const unsigned char* at, unsigned size) {
  std::uint64_t value = 0;
  std::memcpy(&value, at, size);
  return value;
}

std::string FieldText(const Field& field, std::uint64_t value) {
  char text[32];
  switch (field.style) {
    case Field::Style::kHex:
      std::snprintf(text, sizeof text, "0x%lx", value);
      break;
    case Field::Style::kDecimal:
      std::snprintf(text, sizeof text, "%lu", value);
      break;
    case Field::Style::kSigned:
      std::snprintf(text, sizeof text, "%d", static_cast<int>(value));
      break;
  }
  return text;
}

std::string Capabilities(const unsigned char* info, std::size_t size, std::size_t at) {
  std::string text = " caps=[";
  const char* separator = "";
  while (at != 0 && at + 8 <= size) {
    const auto next = static_cast<std::size_t>(Load(info + at + 4, 4));
    const std::size_t end = next > at && next <= size ? next : size;
    text += separator + std::to_string(Load(info + at, 2)) + "." +
            std::to_string(Load(info + at + 2, 2)) + ":" + Hex(info + at + 8, end - at - 8);
    separator = " ";
    at = next > at ? next : 0;
  }
  return text + "]";
}

std::string HotResetDevices(const Machine& machine, const unsigned char* entries,
                            std::size_t count) {
  std::string text = " devices=[";
  for (std::size_t i = 0; i < count; ++i) {
    const unsigned char* entry = entries + 8 * i;
    char address[24];
    std::snprintf(address, sizeof address, "@%04x:%02x:%02x.%x",
                  static_cast<unsigned>(Load(entry + 4, 2)), entry[6], entry[7] >> 3, entry[7] & 7);
    text +=
        (i == 0 ? "" : " ") + machine.GroupName(static_cast<unsigned>(Load(entry, 4))) + address;
  }
  return text + "]";
}

bool MakesDescriptor(const IoctlShape& shape, const unsigned char* bytes) {
  return shape.command == kGetDeviceFd ||
         (shape.name == "VFIO_DEVICE_FEATURE" &&
          (Load(bytes + 4, 4) & kFeatureIndexMask) == kFeatureDmaBuf);
}

}  // namespace

std::string Client::Ioctl(const Line& line) {
  const int fd = File(Word(line, 0));
  const std::string& command = Word(line, 1);
  const IoctlShape* shape = FindIoctl(command);
  if (shape != nullptr && shape->argument == IoctlShape::Argument::kStruct)
    return IoctlStruct(line, fd, *shape);
  const std::uint64_t number = shape != nullptr ? shape->command : Number(command);
  std::string text;
  std::uint64_t argument = 0;
  int descriptor = -1;
  for (std::size_t i = 2; i < line.arguments.size(); ++i) {
    const std::string& word = line.arguments[i];
    if (const auto file = ValueOf(word, "fd")) {
      descriptor = File(*file);
      auto* at = arena_.Place(sizeof descriptor);
      std::memcpy(at, &descriptor, sizeof descriptor);
      argument = reinterpret_cast<std::uint64_t>(at);
    } else if (const auto at = ValueOf(word, "at")) {
      argument = Number(*at);
    } else if (shape != nullptr && shape->argument == IoctlShape::Argument::kText) {
      text = machine_.Substitute(word);
      argument = reinterpret_cast<std::uint64_t>(text.c_str());
    } else {
      argument = Number(word);
    }
  }
  const int result = ioctl(fd, number, argument);
  if (result < 0) return ErrnoName(errno);
  if (number != kGetDeviceFd) return std::to_string(result);
  const Device* device = machine_.FindByAddress(text);
  NoteOpen(device);
  Keep(line.name, result, device);
  return "fd";
}

struct Client::Argument {
  std::vector<unsigned char> bytes;
  std::optional<std::uint64_t> argsz, room, at;
  bool readonly = false;
};

Client::Argument Client::ParseArgument(const Line& line, const IoctlShape& shape) const {
  Argument argument{.bytes = std::vector<unsigned char>(shape.size)};
  std::vector<unsigned char>& bytes = argument.bytes;
  std::vector<unsigned char> data;
  for (std::size_t i = 2; i < line.arguments.size(); ++i) {
    const std::string& word = line.arguments[i];
    const auto field = std::ranges::find_if(
        shape.fields, [&](const Field& f) { return ValueOf(word, f.name).has_value(); });
    if (field != shape.fields.end()) {
      const std::uint64_t value = Number(*ValueOf(word, field->name));
      bytes.resize(std::max<std::size_t>(bytes.size(), field->offset + field->size));
      std::memcpy(bytes.data() + field->offset, &value, field->size);
      if (field->offset == 0) argument.argsz = value;
    } else if (const auto value = ValueOf(word, "data")) {
      data = Bytes(*value);
    } else if (const auto limit = ValueOf(word, "room")) {
      argument.room = Number(*limit);
    } else if (const auto address = ValueOf(word, "at")) {
      argument.at = Number(*address);
    } else if (word == "readonly") {
      argument.readonly = true;
    } else {
      throw Nonsense{};
    }
  }
  bytes.insert(bytes.end(), data.begin(), data.end());
  const auto size = static_cast<std::uint32_t>(bytes.size());
  if (!argument.argsz) std::memcpy(bytes.data(), &size, sizeof size);
  bytes.resize(std::min(std::max<std::size_t>(size, argument.argsz.value_or(size)), Arena::kSize));
  return argument;
}

std::string Client::IoctlStruct(const Line& line, int fd, const IoctlShape& shape) {
  Argument argument = ParseArgument(line, shape);
  std::vector<unsigned char>& bytes = argument.bytes;
  const std::size_t reachable = std::min(argument.room.value_or(bytes.size()), Arena::kSize);
  unsigned char* place = arena_.Place(reachable);
  std::memcpy(place, bytes.data(), std::min(reachable, bytes.size()));
  if (argument.readonly) arena_.Protect(true);
  const int result =
      ioctl(fd, shape.command, argument.at.value_or(reinterpret_cast<std::uint64_t>(place)));
  const int error = errno;
  if (argument.readonly) arena_.Protect(false);
  std::string text = result < 0 ? ErrnoName(error) : std::to_string(result);
  if (result > 2 && MakesDescriptor(shape, bytes.data())) {
    Keep(line.name, result, nullptr);
    text = "fd";
  }
  bytes.resize(std::min(reachable, bytes.size()));
  return argument.at ? text : text + Tail(shape, bytes, place);
}

// What changed: fields by name, then what is behind the struct.
std::string Client::Tail(const IoctlShape& shape, const std::vector<unsigned char>& before,
                         const unsigned char* after) const {
  std::string text;
  std::size_t end = shape.size;
  const auto changed = [&](std::size_t at, std::size_t size) {
    return at + size <= before.size() && std::memcmp(before.data() + at, after + at, size) != 0;
  };
  for (const Field& field : shape.fields) {
    if (field.offset + field.size > shape.size && before.size() >= field.offset + field.size)
      end = std::max<std::size_t>(end, field.offset + field.size);
    if (changed(field.offset, field.size))
      text += " " + std::string(field.name) + "=" +
              FieldText(field, Load(after + field.offset, field.size));
  }
  if (before.size() <= end || !changed(end, before.size() - end)) return text;
  std::size_t last = before.size();
  while (last > end && before[last - 1] == after[last - 1]) --last;
  if (shape.tail == IoctlShape::Tail::kCapabilities) {
    const auto offset = std::ranges::find(shape.fields, "cap_offset", &Field::name);
    const std::size_t padded = (last + 7) & ~std::size_t{7};
    return text +
           Capabilities(after, std::min(padded, before.size()), Load(after + offset->offset, 4));
  }
  if (shape.tail == IoctlShape::Tail::kDevices) {
    const std::size_t count =
        std::min<std::size_t>(Load(after + 8, 4), (before.size() - shape.size) / 8);
    return text + HotResetDevices(machine_, after + shape.size, count);
  }
  return text + " data=" + Hex(after + end, last - end);
}

}  // namespace player
