// A device of a group, whatever bus it is on (vfio_main.c).
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "vfs/open_file.hpp"

namespace vfiolab::vfio {

class GroupFile;

// What the kernel keeps of a device while a driver of VFIO has it. The first file enables it, the
// last one that goes disables it.
class GroupDevice {
 public:
  virtual ~GroupDevice() = default;

  // Whether a client means it by `name`. EINVAL, EACCES: it does, and wants what it may not have.
  virtual Result<bool> IsCalled(const std::string& name) = 0;
  // A new file, which opens it.
  virtual std::shared_ptr<OpenFile> MakeFile(std::shared_ptr<GroupFile> group) = 0;

  bool open() const { return opens_ > 0; }
  // The kernel wants the device back: whoever has it is told, and nobody can open it any more.
  // `done` runs, and this may be destroyed, when the last file is closed, perhaps at once.
  void GiveBack(std::function<void()> done) {
    given_back_ = std::move(done);
    if (open())
      OnWantedBack();
    else
      FinishGivingBack();
  }
  bool wanted_back() const { return given_back_ != nullptr; }
  // For the last file, when it has let go of all else.
  void FinishGivingBack() {
    if (open() || !given_back_) return;
    const auto done = std::move(given_back_);
    done();  // destroys this
  }

 protected:
  // Tells whoever has it open.
  virtual void OnWantedBack() {}

  unsigned opens_ = 0;

 private:
  std::function<void()> given_back_;
};

}  // namespace vfiolab::vfio
