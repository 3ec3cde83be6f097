/*
 * VFIO as it might have become after the debate of August 2011. No kernel ever had these calls, and
 * nobody gave them numbers: those here are vfiolab's own. Which of them there are, and what they
 * do, is up to the policies of the machine.
 */
#ifndef VFIOLAB_EARLY_VFIO_H
#define VFIOLAB_EARLY_VFIO_H

#include <linux/ioctl.h>
#include <linux/types.h>

/* What a mapping connects: memory of the process with addresses of the bus. */
struct vfio_dma_map {
  __u64 vaddr;
  __u64 iova;
  __u64 size; /* bytes */
  __u64 flags;
#define VFIO_FLAG_WRITE 0x1 /* the device may write, too */
};

/* Of /dev/vfio/GROUP. Arguments are pointers. */
#define VFIO_GROUP_GET_FLAGS _IOR(';', 32, __u64)
#define VFIO_GROUP_FLAGS_VIABLE 0x1                  /* all its devices are bound to vfio */
#define VFIO_GROUP_FLAGS_BOUND 0x2                   /* it is bound to another group */
#define VFIO_GROUP_FLAGS_OWNER 0x4                   /* others are bound to it */
#define VFIO_GROUP_GET_DEVICE_FD _IOW(';', 38, char) /* a PCI address; returns a descriptor */

/* With the policy "dma": "group". */
#define VFIO_GROUP_MAP_DMA _IOW(';', 33, struct vfio_dma_map)
#define VFIO_GROUP_UNMAP_DMA _IOW(';', 34, struct vfio_dma_map) /* by iova and size */
#define VFIO_GROUP_BIND _IOW(';', 35, int)                      /* to this group */
#define VFIO_GROUP_CAPTURE _IOW(';', 36, int)                   /* this group is bound to ours */
#define VFIO_GROUP_RELEASE _IO(';', 37)

struct vfio_device_info {
  __u32 flags;
#define VFIO_DEVICE_FLAGS_RESET 0x1
#define VFIO_DEVICE_FLAGS_PCI 0x2
#define VFIO_DEVICE_FLAGS_PLATFORM 0x4 /* regions and interrupts in a row */
  __u32 num_regions;
  __u32 num_irqs;
  __u32 reserved;
};

struct vfio_region_info {
  __u32 index; /* in */
  __u32 flags;
#define VFIO_REGION_INFO_FLAG_MMAP 0x1
#define VFIO_REGION_INFO_FLAG_RO 0x2
  __u64 size;
  __u64 offset; /* in the device's descriptor; 0 where each region has its own */
};

struct vfio_irq_info {
  __u32 index; /* in */
  __u32 count;
  __u32 flags;
#define VFIO_IRQ_INFO_FLAG_LEVEL 0x1
  __u32 reserved;
};

/* Of a device. */
#define VFIO_DEVICE_GET_INFO _IOR(';', 48, struct vfio_device_info)
#define VFIO_DEVICE_GET_REGION_INFO _IOWR(';', 49, struct vfio_region_info)
#define VFIO_DEVICE_GET_IRQ_INFO _IOWR(';', 50, struct vfio_irq_info)
#define VFIO_DEVICE_SET_IRQ_EVENTFDS _IOW(';', 51, int) /* int[2 + n]: index, n, then eventfds */
#define VFIO_DEVICE_UNMASK_IRQ _IOW(';', 52, int)       /* an index */
#define VFIO_DEVICE_RESET _IO(';', 53)
#define VFIO_DEVICE_INHERIT _IOW(';', 54, int) /* "dma": "group"; sees what this device sees */

/* With the policy "dma": "uiommu". */
#define VFIO_DEVICE_SET_UIOMMU _IOW(';', 55, int) /* of /dev/uiommu, or -1: none */
#define VFIO_DEVICE_MAP_DMA _IOW(';', 56, struct vfio_dma_map)
#define VFIO_DEVICE_UNMAP_DMA _IOW(';', 57, struct vfio_dma_map)

/* With the policy "regions": "descriptors". They return descriptors, which begin at offset 0. */
#define VFIO_DEVICE_GET_PCI_BAR_FD _IOW(';', 58, int) /* BAR0 to 5, or 6: the ROM */
#define VFIO_DEVICE_GET_PCI_CONFIG_FD _IO(';', 59)
#define VFIO_DEVICE_GET_MMIO_FD _IOW(';', 60, int) /* a region of a device that is not PCI */

#define VFIO_PCI_BAR0_REGION_INDEX 0
#define VFIO_PCI_BAR1_REGION_INDEX 1
#define VFIO_PCI_BAR2_REGION_INDEX 2
#define VFIO_PCI_BAR3_REGION_INDEX 3
#define VFIO_PCI_BAR4_REGION_INDEX 4
#define VFIO_PCI_BAR5_REGION_INDEX 5
#define VFIO_PCI_ROM_REGION_INDEX 6
#define VFIO_PCI_CONFIG_REGION_INDEX 7

#define VFIO_PCI_INTX_IRQ_INDEX 0
#define VFIO_PCI_MSI_IRQ_INDEX 1
#define VFIO_PCI_MSIX_IRQ_INDEX 2

#endif
