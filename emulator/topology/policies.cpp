#include "topology/policies.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "topology/edit_distance.hpp"
#include "topology/text.hpp"

namespace vfiolab::topology {
namespace {

// A question, its answers by their names, and where the chosen one is kept.
template <class Answer, std::size_t N>
struct Question {
  const char* key;
  std::array<std::pair<std::string_view, Answer>, N> answers;
  Answer AugustPolicies::*chosen;
};

constexpr auto kQuestions = [] {
  using Policies = AugustPolicies;
  return std::tuple{
      Question<Policies::Dma, 2>{
          "dma",
          {{{"group", Policies::Dma::kGroup}, {"uiommu", Policies::Dma::kUiommu}}},
          &Policies::dma},
      Question<Policies::Open, 2>{
          "open",
          {{{"always", Policies::Open::kAlways}, {"viable", Policies::Open::kViable}}},
          &Policies::open},
      Question<Policies::OwnerClose, 3>{"owner_close",
                                        {{{"refuse", Policies::OwnerClose::kRefuse},
                                          {"reset-children", Policies::OwnerClose::kResetChildren},
                                          {"promote", Policies::OwnerClose::kPromote}}},
                                        &Policies::owner_close},
      Question<Policies::JoinWithMappings, 3>{"join_with_mappings",
                                              {{{"refuse", Policies::JoinWithMappings::kRefuse},
                                                {"drop", Policies::JoinWithMappings::kDrop},
                                                {"merge", Policies::JoinWithMappings::kMerge}}},
                                              &Policies::join_with_mappings},
      Question<Policies::Regions, 2>{"regions",
                                     {{{"segmented", Policies::Regions::kSegmented},
                                       {"descriptors", Policies::Regions::kDescriptors}}},
                                     &Policies::regions}};
}();

template <class Answer, std::size_t N>
void ReadAnswer(const JsonObject& fields, const Question<Answer, N>& question,
                AugustPolicies& policies) {
  const auto value = fields.Find(question.key);
  const auto name = value ? value->Text("a policy in double quotes") : std::nullopt;
  if (!name) return;
  for (const auto& [known, answer] : question.answers)
    if (known == *name) {
      policies.*question.chosen = answer;
      return;
    }
  std::vector<std::string> names;
  for (const auto& [known, answer] : question.answers) names.emplace_back(known);
  value->Report(fmt::format("no policy {}", Quote(*name)), [&] { return OneOf(names, ""); });
}

}  // namespace

AugustPolicies ReadPolicies(const JsonValue& value) {
  const JsonObject fields(
      value, {"dma", "open", "exclusive_open", "owner_close", "join_with_mappings", "regions"});
  AugustPolicies policies;
  std::apply([&](const auto&... question) { (ReadAnswer(fields, question, policies), ...); },
             kQuestions);
  if (const auto flag = fields.Find("exclusive_open"))
    policies.exclusive_open = flag->Flag().value_or(policies.exclusive_open);
  return policies;
}

nlohmann::json ToJson(const AugustPolicies& policies) {
  nlohmann::json told = {{"exclusive_open", policies.exclusive_open}};
  const auto add = [&](const auto& question) {
    for (const auto& [name, answer] : question.answers)
      if (policies.*question.chosen == answer) told[question.key] = name;
  };
  std::apply([&](const auto&... question) { (add(question), ...); }, kQuestions);
  return told;
}

}  // namespace vfiolab::topology
