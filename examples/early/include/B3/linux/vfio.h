/*
 * VFIO as it was on 20 January 2012: one call for all that is done to interrupts. Written anew for
 * vfiolab; the names and numbers are those of that time.
 */
#ifndef VFIOLAB_EARLY_VFIO_H
#define VFIOLAB_EARLY_VFIO_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Of a group, /dev/vfio/pci:ID. Arguments are pointers, to structures whose argsz says how many
 * bytes there are; GET_IOMMU_FD and GET_DEVICE_FD return a descriptor.
 */
#define VFIO_GROUP_GET_INFO _IO(';', 100)
#define VFIO_GROUP_MERGE _IOW(';', 101, __s32) /* another group's descriptor: it joins */
#define VFIO_GROUP_UNMERGE _IO(';', 102)       /* this group leaves those it is with */
#define VFIO_GROUP_GET_IOMMU_FD _IO(';', 103)
#define VFIO_GROUP_GET_DEVICE_FD _IOW(';', 104, char) /* the device's address */

struct vfio_group_info {
  __u32 argsz;
  __u32 flags;
#define VFIO_GROUP_FLAGS_VIABLE (1 << 0)    /* VFIO has all devices of the group */
#define VFIO_GROUP_FLAGS_MM_LOCKED (1 << 1) /* a process uses it */
};

/* Of an IOMMU descriptor. */
#define VFIO_IOMMU_GET_INFO _IO(';', 105)
#define VFIO_IOMMU_MAP_DMA _IO(';', 106)
#define VFIO_IOMMU_UNMAP_DMA _IO(';', 107)

struct vfio_iommu_info {
  __u32 argsz;
  __u32 flags;
  __u64 iova_start;
  __u64 iova_size;
  __u64 iova_entries;
  __u64 iova_pgsizes; /* bit N: pages of 1 << N bytes */
};

/* What a mapping connects: memory of the process with addresses of the bus. */
struct vfio_dma_map {
  __u32 argsz;
  __u32 flags;
#define VFIO_DMA_MAP_FLAG_READ (1 << 0)  /* the device may read */
#define VFIO_DMA_MAP_FLAG_WRITE (1 << 1) /* the device may write */
  __u64 vaddr;
  __u64 iova;
  __u64 size; /* bytes */
};

struct vfio_dma_unmap {
  __u32 argsz;
  __u32 flags;
  __u64 iova;
  __u64 size;
};

/* Of a device's descriptor. */
#define VFIO_DEVICE_GET_INFO _IO(';', 108)
#define VFIO_DEVICE_GET_REGION_INFO _IO(';', 109)
#define VFIO_DEVICE_GET_IRQ_INFO _IO(';', 110)
#define VFIO_DEVICE_SET_IRQS _IO(';', 111)
#define VFIO_DEVICE_RESET _IO(';', 112)

struct vfio_device_info {
  __u32 argsz;
  __u32 flags;
#define VFIO_DEVICE_FLAGS_RESET (1 << 0) /* VFIO_DEVICE_RESET works */
#define VFIO_DEVICE_FLAGS_PCI (1 << 1)
  __u32 num_regions;
  __u32 num_irqs;
};

struct vfio_region_info {
  __u32 argsz;
  __u32 flags;
#define VFIO_REGION_INFO_FLAG_MMAP (1 << 0)
#define VFIO_REGION_INFO_FLAG_RO (1 << 1)
  __u32 index; /* in */
  __u32 resv;
  __u64 size;   /* bytes */
  __u64 offset; /* in the device's file */
};

struct vfio_irq_info {
  __u32 argsz;
  __u32 flags;
#define VFIO_IRQ_INFO_EVENTFD (1 << 0)    /* can signal eventfds */
#define VFIO_IRQ_INFO_MASKABLE (1 << 1)   /* can be masked and unmasked */
#define VFIO_IRQ_INFO_AUTOMASKED (1 << 2) /* masked when it comes */
#define VFIO_IRQ_INFO_NORESIZE (1 << 3)   /* is switched off before it gets more eventfds */
  __u32 index;                            /* in */
  __s32 count;
};

struct vfio_irq_set {
  __u32 argsz; /* with data */
  __u32 flags; /* one DATA and one ACTION */
#define VFIO_IRQ_SET_DATA_NONE (1 << 0)
#define VFIO_IRQ_SET_DATA_BOOL (1 << 1)    /* __u8 each */
#define VFIO_IRQ_SET_DATA_EVENTFD (1 << 2) /* __s32 each, -1: none */
#define VFIO_IRQ_SET_ACTION_MASK (1 << 3)
#define VFIO_IRQ_SET_ACTION_UNMASK (1 << 4)
#define VFIO_IRQ_SET_ACTION_TRIGGER (1 << 5)
  __u32 index;
  __s32 start;
  __s32 count; /* 0, with DATA_NONE and ACTION_TRIGGER: off */
  __u8 data[];
};

/* Regions and interrupts of a PCI device, by index. */
enum {
  VFIO_PCI_BAR0_REGION_INDEX,
  VFIO_PCI_BAR1_REGION_INDEX,
  VFIO_PCI_BAR2_REGION_INDEX,
  VFIO_PCI_BAR3_REGION_INDEX,
  VFIO_PCI_BAR4_REGION_INDEX,
  VFIO_PCI_BAR5_REGION_INDEX,
  VFIO_PCI_ROM_REGION_INDEX,
  VFIO_PCI_CONFIG_REGION_INDEX,
  VFIO_PCI_NUM_REGIONS
};

enum {
  VFIO_PCI_INTX_IRQ_INDEX,
  VFIO_PCI_MSI_IRQ_INDEX,
  VFIO_PCI_MSIX_IRQ_INDEX,
  VFIO_PCI_NUM_IRQS
};

#endif
