// Streams of the C library on descriptors of the emulated host, above all standard input and output
// that a shell has put there: the C library writes to a descriptor and reads from it by itself.
// What it has written is found behind the descriptor, in the file that keeps its number, as soon as
// the stream is flushed; what it may read is put there (Host::Fill).
#include <cstdio>

#include "preload/answer.hpp"
#include "preload/host.hpp"
#include "preload/real.hpp"

using namespace vfiolab::preload;

namespace {

constexpr int kHasFailed = 0x20;  // glibc's _IO_ERR_SEEN

// The stream has been flushed. EOF where what was in it is not taken.
int Deliver(FILE* stream) {
  const int fd = stream->_fileno;
  Host* host = Host::Of(fd);
  if (host == nullptr) return 0;
  const auto delivered = host->Deliver(fd);
  if (delivered) return 0;
  stream->_flags |= kHasFailed;
  errno = delivered.error().code;
  return EOF;
}

}  // namespace

VFIOLAB_INTERPOSED int fflush(FILE* stream) {
  if (stream == nullptr) {
    const int flushed = real(fflush)(nullptr);
    return Deliver(stdout) == 0 && Deliver(stderr) == 0 ? flushed : EOF;
  }
  return real(fflush)(stream) == 0 ? Deliver(stream) : EOF;
}
VFIOLAB_INTERPOSED int fflush_unlocked(FILE* stream) { return fflush(stream); }

VFIOLAB_INTERPOSED int fclose(FILE* stream) {
  Host* host = stream == nullptr ? nullptr : Host::Of(stream->_fileno);
  if (host == nullptr) return real(fclose)(stream);
  const int flushed = fflush(stream);
  const int error = errno;
  host->Detach(stream->_fileno);
  const int closed = real(fclose)(stream);
  if (flushed == 0) return closed;
  errno = error;
  return EOF;
}

namespace {

// A program that ends leaves it to the C library to flush its output, after this.
__attribute__((destructor)) void FlushOutput() {
  if (Host::SharedDirectory() != nullptr && Host::Of(STDOUT_FILENO) != nullptr) fflush(stdout);
}

}  // namespace
