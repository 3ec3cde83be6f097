// A running `serve`, found by name: how `run --session` becomes another client of it.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace vfiolab::launcher {

// Where sessions of this user are: /run/vfiolab for root, else below XDG_RUNTIME_DIR or /tmp.
std::string SessionDirectory();

// EINVAL: the name is not one word of letters, digits, '-', '_' and '.', or too long.
Result<> CheckSessionName(const std::string& name);

// The serving side: a socket that tells clients where the tree is mounted and takes the listeners
// of their filters.
class SessionServer {
 public:
  // EEXIST: a session of this name runs. EINVAL: the name is not one word of letters, digits, '-',
  // '_' and '.'.
  static Result<std::unique_ptr<SessionServer>> Open(const std::string& name,
                                                     const std::string& mount_point,
                                                     std::function<void(UniqueFd)> on_listener);
  ~SessionServer();

 private:
  SessionServer() = default;
  void Serve();
  void ServeClient(UniqueFd client);

  std::string path_;
  std::string mount_point_;
  std::function<void(UniqueFd)> on_listener_;
  UniqueFd socket_;
  UniqueFd stop_;
  std::thread thread_;
};

// Where the session's tree is mounted. ENOENT: no session of this name runs; the reason lists those
// that do.
Result<std::string> FindSession(const std::string& name);
// Hands the session the listener of a client's filter. EPIPE: it did not take it.
Result<> JoinSession(const std::string& name, UniqueFd listener);

}  // namespace vfiolab::launcher
