#include "topology/named_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "topology/config_dump.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

constexpr std::size_t kMostText = 256_KiB;  // 4096 bytes need 13 KiB, and lspci -vvv says more
constexpr std::size_t kMostRom = 16_MiB;

Failure<FileError> CannotRead(int code) {
  return {FileError{"cannot be read: " + std::generic_category().message(code),
                    "give the name of a file, as seen from the topology file"}};
}

// At most `most` + 1 bytes.
Result<std::string, FileError> ReadFile(const std::filesystem::path& path, std::size_t most) {
  // Anything but a file may go on for ever, or wait for somebody.
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) return CannotRead(error ? error.value() : ENOENT);
  if (!std::filesystem::is_regular_file(status)) return CannotRead(EISDIR);
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return CannotRead(errno);
  std::string text(most + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return CannotRead(errno);
  return text;
}

Result<std::vector<std::byte>, FileError> ReadDump(const std::filesystem::path& path) {
  auto text = ReadFile(path, kMostText);
  if (!text) return Failure{std::move(text.error())};
  return ParseDump(*text);
}

Result<std::vector<std::byte>, FileError> ReadRom(const std::filesystem::path& path) {
  auto text = ReadFile(path, kMostRom);
  if (!text) return Failure{std::move(text.error())};
  if (text->empty() || text->size() > kMostRom)
    return Failure{FileError{text->empty() ? "is empty" : "is too large for a ROM",
                             fmt::format("give a file of at most {}", FormatSize(kMostRom))}};
  const auto bytes = std::as_bytes(std::span{*text});
  return std::vector<std::byte>(bytes.begin(), bytes.end());
}

}  // namespace

void ReadNamedFiles(Draft& draft, std::span<const Model> models, const std::string& directory,
                    ErrorList& errors) {
  for (std::size_t i = 0; i < draft.devices.size(); ++i) {
    DeviceDraft& device = draft.devices[i];
    const auto take = [&](NamedFile& file, auto read, std::string_view field) {
      auto bytes = read(std::filesystem::path(directory) / file.file);
      if (bytes)
        file.bytes = *std::move(bytes);
      else
        errors.Add(fmt::format("/devices/{}/{}", i, field),
                   Quote(file.file) + ' ' + bytes.error().message, bytes.error().remedy);
    };
    if (device.rom) take(*device.rom, ReadRom, "rom");
    const auto model = std::ranges::find(models, device.model.value_or(""), &Model::name);
    if (model == models.end()) continue;
    for (auto& [name, dump] : device.dumps)
      if (dump && std::ranges::find(model->dumps, name, &DumpSpec::name) != model->dumps.end())
        take(*dump, ReadDump, "params/" + PointerToken(name));
  }
}

}  // namespace vfiolab::topology
