/*
 * vfiolab as a library: emulated PCI devices, an IOMMU and VFIO inside of this process.
 *
 * A host is made of a topology. Its nodes are opened, asked and mapped by functions that are like
 * the system calls of the same names: a failed one returns -1 (a pointer: MAP_FAILED) and sets
 * errno to what the kernel would. A device's DMA reaches this process's own memory.
 *
 * All of a host is used by one thread at a time. Time stands still but for vfiolab_advance(), and
 * the same calls have the same effects in each run.
 */
#ifndef VFIOLAB_VFIOLAB_H
#define VFIOLAB_VFIOLAB_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VFIOLAB_API __attribute__((visibility("default")))

struct vfiolab_host;
struct vfiolab_model;

/*
 * `json` is a topology (docs/topology.md), or NULL: then it is read from the file `name`. Files
 * that it names lie where `name` does. On failure NULL; then *errors, unless `errors` is NULL, is a
 * text of all that is wrong, line by line, to be given to free().
 */
VFIOLAB_API struct vfiolab_host* vfiolab_create(const char* json, const char* name, char** errors);
/*
 * The same with models of the program's own (vfiolab/model.h), up to a NULL; they and their names
 * outlive the host.
 */
VFIOLAB_API struct vfiolab_host* vfiolab_create_with_models(
    const char* json, const char* name, const struct vfiolab_model* const* models, char** errors);
/* Files that are open are closed, and mappings go. */
VFIOLAB_API void vfiolab_destroy(struct vfiolab_host* host);

/*
 * Paths begin with /dev or /sys. A descriptor is also one of this process, of an empty file, so
 * that its number is nobody else's; it is to be closed by vfiolab_close(). A call that would wait
 * for another one of this process (the unbinding of a device that is open) fails with EDEADLK.
 */
VFIOLAB_API int vfiolab_open(struct vfiolab_host* host, const char* path, int flags);
VFIOLAB_API int vfiolab_close(struct vfiolab_host* host, int fd);
VFIOLAB_API int vfiolab_ioctl(struct vfiolab_host* host, int fd, unsigned long request,
                              const void* argument);
VFIOLAB_API ssize_t vfiolab_read(struct vfiolab_host* host, int fd, void* to, size_t size);
VFIOLAB_API ssize_t vfiolab_write(struct vfiolab_host* host, int fd, const void* from, size_t size);
VFIOLAB_API ssize_t vfiolab_pread(struct vfiolab_host* host, int fd, void* to, size_t size,
                                  off_t offset);
VFIOLAB_API ssize_t vfiolab_pwrite(struct vfiolab_host* host, int fd, const void* from, size_t size,
                                   off_t offset);
VFIOLAB_API off_t vfiolab_lseek(struct vfiolab_host* host, int fd, off_t offset, int whence);
/*
 * Loads and stores of registers that are mapped have their effects, one by one: each raises
 * SIGSEGV, which is handled here. Whoever sets a handler of SIGSEGV or SIGBUS of its own makes the
 * host afterwards, or asks the one before for what is not its own.
 */
VFIOLAB_API void* vfiolab_mmap(struct vfiolab_host* host, void* address, size_t length,
                               int protection, int flags, int fd, off_t offset);
VFIOLAB_API int vfiolab_munmap(struct vfiolab_host* host, void* address, size_t length);
/* Ends with a null byte where there is room for one. */
VFIOLAB_API ssize_t vfiolab_readlink(struct vfiolab_host* host, const char* path, char* to,
                                     size_t size);
/* The names in a directory, one a line, to be given to free(). */
VFIOLAB_API char* vfiolab_list(struct vfiolab_host* host, const char* path);

/* Nanoseconds since the host was made. */
VFIOLAB_API uint64_t vfiolab_now(struct vfiolab_host* host);
/*
 * Time passes: what devices do later happens, in its order; eventfds that were written to have
 * their effects.
 */
VFIOLAB_API void vfiolab_advance(struct vfiolab_host* host, uint64_t nanoseconds);
/* How long until something happens by itself; UINT64_MAX: nothing will. */
VFIOLAB_API uint64_t vfiolab_next_event(struct vfiolab_host* host);

/* How often an eventfd was signalled since it was asked last; it does not wait. */
VFIOLAB_API uint64_t vfiolab_take_signals(int eventfd);

/* A DMA that the IOMMU stopped. */
struct vfiolab_fault {
  uint64_t when;   /* nanoseconds */
  uint64_t iova;   /* of the first byte that was not moved */
  uint64_t length; /* of the whole access */
  int is_write;    /* as the device sees it */
  char device[32]; /* 0000:01:00.0 */
  char reason[32]; /* the IOVA is not mapped */
};
/* The oldest that has not been taken: 1, or 0 when there is none. The newest 1024 are kept. */
VFIOLAB_API int vfiolab_take_fault(struct vfiolab_host* host, struct vfiolab_fault* fault);

/*
 * What goes into the host and comes out of it, a line at a time (docs/trace.md); NULL: nobody wants
 * to know.
 */
VFIOLAB_API void vfiolab_trace(struct vfiolab_host* host,
                               void (*line)(void* context, const char* text), void* context);
/* Where the process has changed its RLIMIT_MEMLOCK. */
VFIOLAB_API void vfiolab_refresh_limits(struct vfiolab_host* host);

#ifdef __cplusplus
}
#endif
#endif
