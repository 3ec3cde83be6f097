// vfiolab for programs in C++: a thin layer over vfiolab.h, which says what each call does.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <vfiolab/vfiolab.h>

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace vfiolab {

// A topology that is made in the program; docs/topology.md says what each part means.
struct Topology {
  struct Device {
    std::string bdf, model;
    std::map<std::string, std::uint64_t> params;
    std::string driver = "vfio-pci";
  };
  struct Group {
    unsigned id;
    std::vector<std::string> members;
  };
  std::vector<Device> devices;
  std::vector<Group> groups;
  std::string api;  // of before 2012: "A6"

  std::string ToJson() const {
    std::string text = R"({"devices": [)";
    const char* comma = "";
    for (const Device& device : devices) {
      text += comma + (R"({"bdf": ")" + device.bdf) + R"(", "model": ")" + device.model +
              R"(", "driver": ")" + device.driver + R"(", "params": {)";
      const char* inner = "";
      for (const auto& [name, value] : device.params) {
        text += inner + ("\"" + name) + "\": " + std::to_string(value);
        inner = ", ";
      }
      text += "}}";
      comma = ", ";
    }
    text += R"(], "groups": [)";
    comma = "";
    for (const Group& group : groups) {
      text += comma + (R"({"id": )" + std::to_string(group.id)) + R"(, "members": [)";
      const char* inner = "";
      for (const std::string& member : group.members) {
        text += inner + ("\"" + member) + "\"";
        inner = ", ";
      }
      text += "]}";
      comma = ", ";
    }
    return text + "]" + (api.empty() ? "" : R"(, "api": ")" + api + "\"") + "}";
  }
};

// What is wrong with a topology, line by line.
struct TopologyError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Calls return what those of vfiolab.h do, and set errno.
class Emulator {
 public:
  // Models (vfiolab/model.h) that the topology may name beside those that vfiolab has.
  using Models = std::vector<const vfiolab_model*>;
  // Throw TopologyError.
  explicit Emulator(const Topology& topology, const Models& models = {})
      : Emulator(topology.ToJson().c_str(), "topology", models) {}
  static Emulator FromJson(const std::string& json, const std::string& name = "topology",
                           const Models& models = {}) {
    return Emulator(json.c_str(), name.c_str(), models);
  }
  static Emulator FromFile(const std::string& path, const Models& models = {}) {
    return Emulator(nullptr, path.c_str(), models);
  }

  int Open(const std::string& path, int flags = O_RDWR) {
    return vfiolab_open(host_.get(), path.c_str(), flags);
  }
  int Close(int fd) { return vfiolab_close(host_.get(), fd); }
  int Ioctl(int fd, unsigned long request, const void* argument = nullptr) {
    return vfiolab_ioctl(host_.get(), fd, request, argument);
  }
  ssize_t Read(int fd, void* to, std::size_t size) {
    return vfiolab_read(host_.get(), fd, to, size);
  }
  ssize_t Write(int fd, const void* from, std::size_t size) {
    return vfiolab_write(host_.get(), fd, from, size);
  }
  ssize_t Pread(int fd, void* to, std::size_t size, off_t offset) {
    return vfiolab_pread(host_.get(), fd, to, size, offset);
  }
  ssize_t Pwrite(int fd, const void* from, std::size_t size, off_t offset) {
    return vfiolab_pwrite(host_.get(), fd, from, size, offset);
  }
  off_t Lseek(int fd, off_t offset, int whence) {
    return vfiolab_lseek(host_.get(), fd, offset, whence);
  }
  void* Mmap(void* address, std::size_t length, int protection, int flags, int fd, off_t offset) {
    return vfiolab_mmap(host_.get(), address, length, protection, flags, fd, offset);
  }
  int Munmap(void* address, std::size_t length) {
    return vfiolab_munmap(host_.get(), address, length);
  }
  // The contents of a file of /sys, or the target of a link; nothing where there is none.
  std::optional<std::string> ReadFile(const std::string& path) {
    const int fd = Open(path, O_RDONLY);
    if (fd < 0) return std::nullopt;
    char text[4096];
    const ssize_t size = Read(fd, text, sizeof text);
    Close(fd);
    if (size < 0) return std::nullopt;
    return std::string(text, static_cast<std::size_t>(size));
  }
  std::optional<std::string> ReadLink(const std::string& path) {
    char target[4096];
    const ssize_t size = vfiolab_readlink(host_.get(), path.c_str(), target, sizeof target);
    if (size < 0) return std::nullopt;
    return std::string(target, static_cast<std::size_t>(size));
  }

  std::chrono::nanoseconds Now() const {
    return std::chrono::nanoseconds(vfiolab_now(host_.get()));
  }
  void Advance(std::chrono::nanoseconds by) {
    vfiolab_advance(host_.get(), static_cast<std::uint64_t>(by.count()));
  }
  // Nothing will happen by itself: no value.
  std::optional<std::chrono::nanoseconds> NextEvent() const {
    const std::uint64_t next = vfiolab_next_event(host_.get());
    if (next == UINT64_MAX) return std::nullopt;
    return std::chrono::nanoseconds(next);
  }
  static std::uint64_t TakeSignals(int eventfd) { return vfiolab_take_signals(eventfd); }
  std::vector<vfiolab_fault> TakeFaults() {
    std::vector<vfiolab_fault> faults;
    for (vfiolab_fault fault; vfiolab_take_fault(host_.get(), &fault) == 1;)
      faults.push_back(fault);
    return faults;
  }

  vfiolab_host* host() { return host_.get(); }

 private:
  Emulator(const char* json, const char* name, Models models) {
    char* errors = nullptr;
    models.push_back(nullptr);
    host_.reset(vfiolab_create_with_models(json, name, models.data(), &errors));
    if (host_ != nullptr) return;
    const std::string text = errors == nullptr ? "" : errors;
    ::free(errors);
    throw TopologyError(text);
  }

  struct Destroy {
    void operator()(vfiolab_host* host) const { vfiolab_destroy(host); }
  };
  std::unique_ptr<vfiolab_host, Destroy> host_;
};

}  // namespace vfiolab
