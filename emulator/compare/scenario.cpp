#include "compare/scenario.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <fstream>
#include <sstream>

#include "topology/edit_distance.hpp"
#include "topology/json_reader.hpp"
#include "topology/parse.hpp"
#include "topology/text.hpp"

namespace vfiolab::compare {
namespace {

using topology::ErrorList;
using topology::JsonObject;
using topology::JsonValue;

constexpr std::size_t kMostDevices = 200, kMostSteps = 200;
constexpr unsigned kMostProcesses = 4, kMostPages = 64;

constexpr std::array<std::pair<std::string_view, Deed>, 7> kDeeds = {{{"open", Deed::kOpen},
                                                                      {"space", Deed::kSpace},
                                                                      {"share", Deed::kShare},
                                                                      {"map", Deed::kMap},
                                                                      {"unmap", Deed::kUnmap},
                                                                      {"dma", Deed::kDma},
                                                                      {"close", Deed::kClose}}};
constexpr std::array<std::pair<std::string_view, Driver>, 3> kDrivers = {
    {{"vfio", Driver::kVfio}, {"host", Driver::kHost}, {"none", Driver::kNone}}};

template <class T, std::size_t N>
std::optional<T> Named(const JsonValue& value, std::string_view wanted,
                       const std::array<std::pair<std::string_view, T>, N>& known) {
  const auto name = value.Text(wanted);
  if (!name) return std::nullopt;
  for (const auto& [text, meaning] : known)
    if (text == *name) return meaning;
  std::vector<std::string> names;
  for (const auto& [text, meaning] : known) names.emplace_back(text);
  value.Report(fmt::format("{} is unknown", topology::Quote(*name)),
               [&] { return topology::OneOf(names, ""); });
  return std::nullopt;
}

// "d1..d20" is twenty names.
std::vector<std::string> Expand(const std::string& text) {
  const std::size_t dots = text.find("..");
  if (dots == text.npos) return {text};
  const auto split = [](std::string_view name) {
    const std::size_t digits = name.find_last_not_of("0123456789") + 1;
    unsigned number = 0;
    std::from_chars(name.data() + digits, name.data() + name.size(), number);
    return std::pair{std::string(name.substr(0, digits)), number};
  };
  const auto [prefix, first] = split(std::string_view(text).substr(0, dots));
  const auto [other, last] = split(std::string_view(text).substr(dots + 2));
  std::vector<std::string> names;
  for (unsigned i = first; prefix == other && i <= last && names.size() <= kMostDevices; ++i)
    names.push_back(prefix + std::to_string(i));
  return names;
}

// Each device of the range, where `apart`, in a group of its own.
void ReadGroup(const JsonValue& value, bool apart, Scenario& scenario) {
  unsigned group = scenario.devices.empty() ? 1 : scenario.devices.back().group + 1;
  JsonObject(value).ForEach([&](const std::string& range, const JsonValue& item) {
    const auto driver = Named(item, "\"vfio\", \"host\" or \"none\"", kDrivers);
    const auto names = Expand(range);
    if (names.empty() || scenario.devices.size() + names.size() > kMostDevices)
      return item.Report(fmt::format("{} are no devices, or too many", topology::Quote(range)),
                         fmt::format("name at most {}, like \"a\" or \"d1..d20\"", kMostDevices));
    for (const std::string& name : names) {
      if (std::ranges::count(scenario.devices, name, &ScenarioDevice::name) != 0) {
        item.Report(fmt::format("the device {} is there already", topology::Quote(name)),
                    "give it another name");
        continue;
      }
      scenario.devices.push_back({name, group, driver.value_or(Driver::kVfio)});
      group += apart ? 1 : 0;
    }
  });
}

std::vector<std::string> ReadDevices(const std::optional<JsonValue>& value,
                                     const Scenario& scenario) {
  const auto text = value ? value->Text("the name of a device") : std::nullopt;
  if (!text) return {};
  const auto names = Expand(*text);
  const bool known = !names.empty() && std::ranges::all_of(names, [&](const std::string& name) {
    return std::ranges::count(scenario.devices, name, &ScenarioDevice::name) == 1;
  });
  if (!known)
    value->Report(fmt::format("no device {}", topology::Quote(*text)), "name one of the groups");
  return names;
}

void ReadStep(const JsonValue& value, Scenario& scenario) {
  const JsonObject fields(value, {"do", "device", "with", "page", "process"});
  const auto deed = fields.Need("do", "what is done, like \"open\"");
  const auto known = deed ? Named(*deed, "what is done, like \"open\"", kDeeds) : std::nullopt;
  Step step{known.value_or(Deed::kOpen), {}, {}};
  step.devices = ReadDevices(fields.Need("device", "the device that it is about"), scenario);
  if (step.deed == Deed::kShare)
    for (const auto& name :
         ReadDevices(fields.Need("with", "the device whose address space it is"), scenario))
      step.with = name;
  const auto number = [&](const char* key, unsigned min, unsigned max, unsigned otherwise) {
    const auto field = fields.Find(key);
    const auto read = field ? field->Number(min, max) : std::nullopt;
    return read ? static_cast<unsigned>(*read) : otherwise;
  };
  step.page = number("page", 0, kMostPages - 1, 0);
  step.process = number("process", 1, kMostProcesses, 1);
  scenario.steps.push_back(std::move(step));
}

Scenario Read(const nlohmann::json& root, ErrorList& errors) {
  Scenario scenario;
  const JsonObject fields(JsonValue(root, "", errors),
                          {"name", "question", "groups", "singletons", "steps"});
  const auto text = [&](const char* key) {
    const auto field = fields.Need(key, "text in double quotes");
    return field ? field->Text("text in double quotes").value_or("") : "";
  };
  scenario.name = text("name");
  scenario.question = text("question");
  if (const auto groups = fields.Find("groups"))
    groups->Items("a list of groups",
                  [&](const JsonValue& group) { ReadGroup(group, false, scenario); });
  if (const auto singletons = fields.Find("singletons")) ReadGroup(*singletons, true, scenario);
  if (const auto steps = fields.Need("steps", "a list of steps")) {
    if (steps->size() > kMostSteps)
      steps->Report(fmt::format("{} steps", steps->size()),
                    fmt::format("a scenario has at most {}", kMostSteps));
    else
      steps->Items("a list of steps", [&](const JsonValue& step) { ReadStep(step, scenario); });
  }
  return scenario;
}

}  // namespace

std::string Step::ToString() const {
  std::string who = devices.front();
  const bool many = devices.size() > 1;
  if (many) who += ".." + devices.back();
  const char* is = many ? "are" : "is";
  const auto page_text = page == 0 ? std::string("a page") : fmt::format("page {}", page);
  std::string text;
  switch (deed) {
    case Deed::kOpen:
      text = fmt::format("{} {} opened", who, is);
      break;
    case Deed::kSpace:
      text = fmt::format("{} {} an address space", who, many ? "get" : "gets");
      break;
    case Deed::kShare:
      text = fmt::format("{} {} the address space of {}", who, many ? "share" : "shares", with);
      break;
    case Deed::kMap:
      text = fmt::format("{} is mapped for {}", page_text, who);
      break;
    case Deed::kUnmap:
      text = fmt::format("{} is unmapped for {}", page_text, who);
      break;
    case Deed::kDma:
      text = fmt::format("{} {} it by DMA", who, many ? "read" : "reads");
      break;
    case Deed::kClose:
      text = fmt::format("{} {} closed", who, is);
      break;
  }
  return process == 1 ? text : fmt::format("{}, by process {}", text, process);
}

Result<Scenario, std::vector<topology::ConfigError>> LoadScenario(const std::string& path) {
  ErrorList errors(path);
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  Scenario scenario;
  if (!file)
    errors.Add("", "cannot be read", "give the path of a scenario");
  else if (const auto root = topology::Parse(text.str(), errors))
    scenario = Read(*root, errors);
  if (errors.empty() && scenario.steps.empty())
    errors.Add("/steps", "nothing happens", "give a step");
  if (!errors.empty()) return Failure{errors.Take()};
  return scenario;
}

}  // namespace vfiolab::compare
