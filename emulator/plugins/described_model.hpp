// A model that is described in C.
#pragma once
#include <vfiolab/model.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "device/model.hpp"

namespace vfiolab::plugins {

class DescribedModel {
 public:
  // `description` outlives this; `name` is how topologies call it. EINVAL: it is of another ABI, or
  // describes no PCI device; the reason says what is wrong.
  static Result<std::unique_ptr<DescribedModel>> Make(const vfiolab_model& description,
                                                      std::string name);
  DescribedModel(const DescribedModel&) = delete;
  DescribedModel& operator=(const DescribedModel&) = delete;

  const vfiolab_model& description() const { return description_; }
  // Refers to this.
  const Model& model() const { return model_; }

 private:
  DescribedModel(const vfiolab_model& description, std::string name);

  const vfiolab_model& description_;
  std::string name_;
  std::vector<ParamSpec> parameters_;
  Model model_;
};

}  // namespace vfiolab::plugins
