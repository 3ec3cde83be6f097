// The least that a FUSE server can do for an ioctl with a payload: libfuse's own loop, one copy in,
// one copy out. What vfiolab costs is measured against it.
#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace {

constexpr fuse_ino_t kFile = 2;
constexpr std::size_t kPayload = 32;  // as VFIO_DEVICE_GET_REGION_INFO

void FillAttributes(fuse_ino_t number, struct stat& attributes) {
  attributes = {};
  attributes.st_ino = number;
  attributes.st_mode = number == kFile ? S_IFREG | 0666 : S_IFDIR | 0755;
  attributes.st_nlink = 1;
}

void Lookup(fuse_req_t req, fuse_ino_t, const char* name) {
  if (std::strcmp(name, "null") != 0) {
    fuse_reply_err(req, ENOENT);
    return;
  }
  fuse_entry_param entry{};
  entry.ino = kFile;
  FillAttributes(kFile, entry.attr);
  fuse_reply_entry(req, &entry);
}

void Getattr(fuse_req_t req, fuse_ino_t number, fuse_file_info*) {
  struct stat attributes {};
  FillAttributes(number, attributes);
  fuse_reply_attr(req, &attributes, 1.0);
}

void Open(fuse_req_t req, fuse_ino_t, fuse_file_info* info) {
  info->direct_io = 1;
  fuse_reply_open(req, info);
}

void Ioctl(fuse_req_t req, fuse_ino_t, unsigned, void* argument, fuse_file_info*, unsigned,
           const void*, std::size_t, std::size_t) {
  std::array<char, kPayload> payload{};
  const iovec here{payload.data(), payload.size()}, there{argument, payload.size()};
  const pid_t client = fuse_req_ctx(req)->pid;
  const bool copied = process_vm_readv(client, &here, 1, &there, 1, 0) == kPayload &&
                      process_vm_writev(client, &here, 1, &there, 1, 0) == kPayload;
  fuse_reply_ioctl(req, copied ? 0 : -EFAULT, nullptr, 0);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  char* options[] = {argv[0]};
  fuse_args args = FUSE_ARGS_INIT(1, options);
  fuse_lowlevel_ops operations{};
  operations.lookup = Lookup;
  operations.getattr = Getattr;
  operations.open = Open;
  operations.ioctl = Ioctl;
  fuse_session* session = fuse_session_new(&args, &operations, sizeof operations, nullptr);
  if (session == nullptr || fuse_session_mount(session, argv[1]) != 0) return 1;
  fuse_set_signal_handlers(session);
  const int status = fuse_session_loop(session);
  fuse_session_unmount(session);
  fuse_session_destroy(session);
  return status;
}
