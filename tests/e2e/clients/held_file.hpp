// A file of a file system that a child of ours serves for us, and for nobody else.
#pragma once
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <sys/prctl.h>

#include <csignal>

#include "client.hpp"

namespace held_file {

constexpr fuse_ino_t kFile = 2;
inline pid_t client = 0;

inline bool FromClient(fuse_req_t req) { return fuse_req_ctx(req)->pid == client; }

inline struct stat AttributesOf(fuse_ino_t number) {
  struct stat attributes {};
  attributes.st_ino = number;
  attributes.st_mode = number == kFile ? S_IFREG | 0666 : S_IFDIR | 0755;
  attributes.st_nlink = 1;
  attributes.st_size = kPage;
  return attributes;
}

inline void Lookup(fuse_req_t req, fuse_ino_t, const char*) {
  fuse_entry_param entry{};
  entry.ino = kFile;
  entry.attr = AttributesOf(kFile);
  fuse_reply_entry(req, &entry);
}

inline void Getattr(fuse_req_t req, fuse_ino_t number, fuse_file_info*) {
  const struct stat attributes = AttributesOf(number);
  if (FromClient(req)) fuse_reply_attr(req, &attributes, 0);
}

inline void Statfs(fuse_req_t req, fuse_ino_t) {
  if (FromClient(req)) fuse_reply_err(req, ENOSYS);
}

inline void Open(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  if (FromClient(req)) fuse_reply_open(req, info);
}

inline void Flush(fuse_req_t req, fuse_ino_t, fuse_file_info*) {
  if (FromClient(req)) fuse_reply_err(req, 0);
}

// Ends when the file system is no longer mounted, or with its parent.
[[noreturn]] inline void Serve(fuse_session* session) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  fuse_session_loop(session);
  _exit(0);
}

// The file, open for reading and writing. `directory` is mounted over.
inline int OpenIn(const char* directory) {
  char name[] = "held_file";
  char* options[] = {name};
  fuse_args args = FUSE_ARGS_INIT(1, options);
  fuse_lowlevel_ops operations{};
  operations.lookup = Lookup;
  operations.getattr = Getattr;
  operations.statfs = Statfs;
  operations.open = Open;
  operations.flush = Flush;
  client = gettid();
  fuse_session* session = fuse_session_new(&args, &operations, sizeof operations, nullptr);
  Require(session != nullptr && fuse_session_mount(session, directory) == 0, "mount");
  if (fork() == 0) Serve(session);
  const int file = open((std::string(directory) + "/held").c_str(), O_RDWR | O_CLOEXEC);
  Require(file >= 0, "open of the held file");
  return file;
}

}  // namespace held_file
