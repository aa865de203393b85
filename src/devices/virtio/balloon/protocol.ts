/** Names and numbers of Virtio 1.2, 5.5: traditional memory balloon device. */

export const VIRTIO_BALLOON_F_MUST_TELL_HOST = 0
export const VIRTIO_BALLOON_F_STATS_VQ = 1
export const VIRTIO_BALLOON_F_DEFLATE_ON_OOM = 2
export const VIRTIO_BALLOON_F_PAGE_REPORTING = 5

/** 5.5.2: the queues that features bring follow these two. */
export const INFLATE_QUEUE = 0
export const DEFLATE_QUEUE = 1
export const STATISTICS_QUEUE = 2
/**
 * The reporting queue comes behind the hinting queue in the specification; without that feature Linux counts it the
 * next one, and so do we.
 */
export const REPORTING_QUEUE = 3

/** 5.5.4: `num_pages`, what the device asks for; `actual`, what it has. Pages of 4 KiB. */
export const CONFIG_NUM_PAGES = 0
export const CONFIG_ACTUAL = 4
export const CONFIG_SIZE = 8

/** 5.5.6: pages are of 4 KiB, whatever the guest's own are. */
export const BALLOON_PAGE_SIZE = 4096

/** 5.5.6.3, `struct virtio_balloon_stat`: a tag of 16 bits and a value of 64, packed. */
export const STATISTIC_SIZE = 10

/** By tag. */
export const STATISTICS = [
  'swapped in, bytes',
  'swapped out, bytes',
  'major faults',
  'minor faults',
  'free, bytes',
  'total, bytes',
  'available, bytes',
  'disk caches, bytes',
  'huge pages allocated',
  'huge pages failed',
] as const
