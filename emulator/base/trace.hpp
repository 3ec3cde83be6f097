// What went into the core and what came out, one line each. Two runs with the same inputs write the
// same lines.
#pragma once
#include <functional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace vfiolab {

class Trace {
 public:
  using Sink = std::function<void(std::string_view line)>;

  // Without a sink nothing is formatted: a line costs one branch.
  void SetSink(Sink sink) { sink_ = std::move(sink); }
  bool enabled() const { return static_cast<bool>(sink_); }

  // Numbers an input and, when someone listens, writes "#N text". `text` is called only then.
  template <class F>
  u64 Input(F&& text) {
    ++inputs_;
    if (sink_) sink_("#" + std::to_string(inputs_) + " " + text());
    return inputs_;
  }
  // Something that left the core as a consequence of the last input.
  template <class F>
  void Output(F&& text) {
    if (sink_) sink_("  > " + text());
  }
  u64 inputs() const { return inputs_; }

 private:
  Sink sink_;
  u64 inputs_ = 0;
};

// "EINVAL (argsz 8 < 32) [container_file.cpp:88]"
std::string Describe(const Error& error);
// "EINVAL", or the number where the C library has no name for it.
std::string ErrnoName(int code);
// At most `limit` bytes in hexadecimal, then "..".
std::string Hex(std::span<const std::byte> bytes, std::size_t limit = 64);

}  // namespace vfiolab
