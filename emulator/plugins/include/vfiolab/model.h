/*
 * A model of a PCI device, written in C or whatever can call it.
 *
 * A plug-in is a shared object that exports vfiolab_plugin(); a topology names it by its path, with
 * a slash in it: "model": "./mine.so", seen from the topology's directory. It is called by one
 * thread at a time, and stays loaded.
 */
#ifndef VFIOLAB_MODEL_H
#define VFIOLAB_MODEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VFIOLAB_MODEL_ABI 1

/* The machine, as one device sees it. */
struct vfiolab_machine;

/* What a device may ask of it. There is no other way out of a device. */
struct vfiolab_machine_calls {
  /* 0, or -1 where the IOMMU stopped it: the bytes before are moved, the fault is recorded. */
  int (*dma_read)(struct vfiolab_machine* machine, uint64_t iova, void* to, size_t size);
  int (*dma_write)(struct vfiolab_machine* machine, uint64_t iova, const void* from, size_t size);
  /* A message of MSI or MSI-X; lost when neither is enabled. */
  void (*signal_msi)(struct vfiolab_machine* machine, unsigned vector);
  int (*msi_enabled)(struct vfiolab_machine* machine);
  /* The pin is a level, not an event. */
  void (*set_intx)(struct vfiolab_machine* machine, int asserted);
  /* Calls `due` once, after that time of the machine's; a reset of the device cancels it. */
  void (*after)(struct vfiolab_machine* machine, uint64_t nanoseconds, void (*due)(void* context),
                void* context);
  /* The driver broke the data sheet: a person reads of it in the trace. */
  void (*guest_error)(struct vfiolab_machine* machine, const char* what);
  /* One of the model's own parameters, by its name; 0: there is none of that name. */
  uint64_t (*parameter)(struct vfiolab_machine* machine, const char* name);
  /* The bytes of a BAR that is memory; shared with whoever maps it, and zero at first. */
  void* (*bar_memory)(struct vfiolab_machine* machine, unsigned bar);
};

#define VFIOLAB_BAR_IO 1
#define VFIOLAB_BAR_64BIT 2
#define VFIOLAB_BAR_PREFETCHABLE 4
#define VFIOLAB_BAR_MEMORY 8      /* plain memory: neither read() nor write() hear of it */
#define VFIOLAB_BAR_UNMAPPABLE 16 /* registers of which clients must not map any */
/* Memory, too: write() hears of each 4 bytes that a client has changed, a little later and of several
   stores only of the last. Zero after a reset. */
#define VFIOLAB_BAR_POLLED 32

struct vfiolab_bar {
  uint64_t size; /* bytes, a power of two from 16 (I/O: 4 to 256); 0: no such BAR */
  uint32_t flags;
};

/* A number that the topology may give. */
struct vfiolab_parameter {
  const char* name;
  const char* meaning;
  uint64_t fallback, min, max;
};

/* Text and tables stay where they are. */
struct vfiolab_model {
  uint32_t abi;        /* VFIOLAB_MODEL_ABI */
  const char* name;    /* lower case; a plug-in's is not used */
  const char* summary; /* one line */
  uint16_t vendor_id, device_id, subsystem_vendor_id, subsystem_id;
  uint32_t class_code; /* base, sub, interface: 0xBBSSII */
  uint8_t revision;
  uint8_t interrupt_pin; /* 0 none, 1 INTA .. 4 INTD */
  uint8_t express;       /* 4 KiB of config space, and a PCI Express capability */
  uint8_t msix_bar;      /* where the table of MSI-X goes, if there is one: no other BAR is there */
  uint16_t msi_vectors;  /* 0, or a power of two up to 32 */
  uint16_t msix_vectors; /* up to 2048 */
  struct vfiolab_bar bars[6];
  const struct vfiolab_parameter* parameters;
  size_t parameter_count;

  /* Makes a device, which is what the others get; NULL is a device, too. */
  void* (*create)(void* context, const struct vfiolab_machine_calls* calls,
                  struct vfiolab_machine* machine);
  void* context;                 /* what create() gets */
  void (*destroy)(void* device); /* may be NULL, as the following */
  /* Registers take the values that they have after a reset of the function. */
  void (*reset)(void* device);
  /* 1, 2, 4 or 8 bytes, naturally aligned, inside of the BAR, little-endian. */
  void (*read)(void* device, unsigned bar, uint64_t offset, void* to, size_t size);
  void (*write)(void* device, unsigned bar, uint64_t offset, const void* from, size_t size);
};

/* The entry point of a plug-in. */
__attribute__((visibility("default"))) const struct vfiolab_model* vfiolab_plugin(void);

#ifdef __cplusplus
}
#endif
#endif
