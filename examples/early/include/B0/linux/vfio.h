/*
 * VFIO as it was on 7 October 2011: groups, which can be merged. Written anew for vfiolab; the
 * names and numbers are those of that time.
 */
#ifndef VFIOLAB_EARLY_VFIO_H
#define VFIOLAB_EARLY_VFIO_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* Of a group, /dev/vfio/ID. Arguments are pointers; GET_..._FD return a descriptor. */
#define VFIO_GROUP_MERGE _IOW(';', 101, int)   /* another group's descriptor: it joins */
#define VFIO_GROUP_UNMERGE _IOW(';', 102, int) /* likewise: it leaves */
#define VFIO_GROUP_GET_IOMMU_FD _IO(';', 103)
#define VFIO_GROUP_GET_DEVICE_FD _IOW(';', 104, char*) /* the device's address */

/* Of an IOMMU descriptor. */
#define VFIO_IOMMU_MAP_DMA _IOWR(';', 105, struct vfio_dma_map)
#define VFIO_IOMMU_UNMAP_DMA _IOWR(';', 106, struct vfio_dma_map) /* by dmaaddr and size */

/* What a mapping connects: memory of the process with addresses of the bus. */
struct vfio_dma_map {
  __u64 len; /* of this structure, as in those below */
  __u64 vaddr;
  __u64 dmaaddr;
  __u64 size; /* bytes */
  __u64 flags;
#define VFIO_DMA_MAP_FLAG_WRITE (1 << 0) /* the device may write, too */
};

/* Of a device's descriptor. */
#define VFIO_DEVICE_GET_FLAGS _IOR(';', 107, __u64)
#define VFIO_DEVICE_FLAGS_PCI (1 << 0)
#define VFIO_DEVICE_FLAGS_DT (1 << 1)    /* of a device tree */
#define VFIO_DEVICE_FLAGS_RESET (1 << 2) /* VFIO_DEVICE_RESET works */
#define VFIO_DEVICE_GET_NUM_REGIONS _IOR(';', 108, int)
#define VFIO_DEVICE_GET_REGION_INFO _IOWR(';', 109, struct vfio_region_info)
#define VFIO_DEVICE_GET_NUM_IRQS _IOR(';', 110, int)
#define VFIO_DEVICE_GET_IRQ_INFO _IOWR(';', 111, struct vfio_irq_info)
#define VFIO_DEVICE_SET_IRQ_EVENTFDS _IOW(';', 112, int) /* int[]: index, count, eventfds */
#define VFIO_DEVICE_UNMASK_IRQ _IOW(';', 113, int)       /* index */
#define VFIO_DEVICE_SET_UNMASK_IRQ_EVENTFD \
  _IOW(';', 114, int) /* an eventfd, or -1; meant to be index, eventfd */
#define VFIO_DEVICE_RESET _IO(';', 115)
#define VFIO_DEVICE_GET_DTPATH _IOWR(';', 116, struct vfio_dtpath)
#define VFIO_DEVICE_GET_DTINDEX _IOWR(';', 117, struct vfio_dtindex)

struct vfio_region_info {
  __u32 len;
  __u32 index;  /* in */
  __u64 size;   /* bytes */
  __u64 offset; /* in the device's file */
  __u64 flags;
#define VFIO_REGION_INFO_FLAG_MMAP (1 << 0)
#define VFIO_REGION_INFO_FLAG_RO (1 << 1)
#define VFIO_REGION_INFO_FLAG_PHYS_VALID (1 << 2)
  __u64 phys;
};

struct vfio_irq_info {
  __u32 len;
  __u32 index; /* in */
  __u32 count;
  __u64 flags;
#define VFIO_IRQ_INFO_FLAG_LEVEL (1 << 0) /* masked when it comes, until VFIO_DEVICE_UNMASK_IRQ */
};

/* Where a region or an interrupt is in the device tree; never there for PCI. */
struct vfio_dtpath {
  __u32 len;
  __u32 index;
  __u64 flags;
#define VFIO_DTPATH_FLAGS_REGION (1 << 0)
#define VFIO_DTPATH_FLAGS_IRQ (1 << 1)
  char* path;
};

struct vfio_dtindex {
  __u32 len;
  __u32 index;
  __u32 prop_type;
  __u32 prop_index;
  __u64 flags;
#define VFIO_DTINDEX_FLAGS_REGION (1 << 0)
#define VFIO_DTINDEX_FLAGS_IRQ (1 << 1)
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
