/** The block device's requests, features and configuration space (Virtio 1.2, 5.2). */

/** Request types (5.2.6). */
export const VIRTIO_BLK_T_IN = 0
export const VIRTIO_BLK_T_OUT = 1
export const VIRTIO_BLK_T_FLUSH = 4
export const VIRTIO_BLK_T_GET_ID = 8
export const VIRTIO_BLK_T_DISCARD = 11
export const VIRTIO_BLK_T_WRITE_ZEROES = 13

export const REQUEST_TYPE_NAMES: Readonly<Record<number, string>> = {
  [VIRTIO_BLK_T_IN]: 'read',
  [VIRTIO_BLK_T_OUT]: 'write',
  [VIRTIO_BLK_T_FLUSH]: 'flush',
  [VIRTIO_BLK_T_GET_ID]: 'get id',
  [VIRTIO_BLK_T_DISCARD]: 'discard',
  [VIRTIO_BLK_T_WRITE_ZEROES]: 'write zeroes',
}

/** Status bytes. */
export const VIRTIO_BLK_S_OK = 0
export const VIRTIO_BLK_S_IOERR = 1
export const VIRTIO_BLK_S_UNSUPP = 2

export const STATUS_NAMES: Readonly<Record<number, string>> = {
  [VIRTIO_BLK_S_OK]: 'OK',
  [VIRTIO_BLK_S_IOERR]: 'IOERR',
  [VIRTIO_BLK_S_UNSUPP]: 'UNSUPP',
}

/** Bytes: type, reserved, sector. */
export const HEADER_SIZE = 16
export const STATUS_SIZE = 1
/** Bytes of the answer to GET_ID: padded with zeroes, not terminated. */
export const ID_SIZE = 20

/** Bytes: sector, count of sectors, flags (struct virtio_blk_discard_write_zeroes). */
export const RANGE_SIZE = 16
export const RANGE_FLAG_UNMAP = 1

/** Feature bits (5.2.3). */
export const VIRTIO_BLK_F_SIZE_MAX = 1
export const VIRTIO_BLK_F_SEG_MAX = 2
export const VIRTIO_BLK_F_RO = 5
export const VIRTIO_BLK_F_BLK_SIZE = 6
export const VIRTIO_BLK_F_FLUSH = 9
export const VIRTIO_BLK_F_TOPOLOGY = 10
export const VIRTIO_BLK_F_CONFIG_WCE = 11
export const VIRTIO_BLK_F_MQ = 12
export const VIRTIO_BLK_F_DISCARD = 13
export const VIRTIO_BLK_F_WRITE_ZEROES = 14

export const FEATURE_NAMES: Readonly<Record<number, string>> = {
  [VIRTIO_BLK_F_SIZE_MAX]: 'SIZE_MAX',
  [VIRTIO_BLK_F_SEG_MAX]: 'SEG_MAX',
  [VIRTIO_BLK_F_RO]: 'RO',
  [VIRTIO_BLK_F_BLK_SIZE]: 'BLK_SIZE',
  [VIRTIO_BLK_F_FLUSH]: 'FLUSH',
  [VIRTIO_BLK_F_TOPOLOGY]: 'TOPOLOGY',
  [VIRTIO_BLK_F_CONFIG_WCE]: 'CONFIG_WCE',
  [VIRTIO_BLK_F_MQ]: 'MQ',
  [VIRTIO_BLK_F_DISCARD]: 'DISCARD',
  [VIRTIO_BLK_F_WRITE_ZEROES]: 'WRITE_ZEROES',
}

/** Offsets in configuration space (5.2.4). */
export const CONFIG_CAPACITY = 0
export const CONFIG_SIZE_MAX = 8
export const CONFIG_SEG_MAX = 12
export const CONFIG_BLK_SIZE = 20
export const CONFIG_PHYSICAL_BLOCK_EXP = 24
export const CONFIG_ALIGNMENT_OFFSET = 25
export const CONFIG_MIN_IO_SIZE = 26
export const CONFIG_OPT_IO_SIZE = 28
export const CONFIG_WRITEBACK = 32
export const CONFIG_NUM_QUEUES = 34
export const CONFIG_MAX_DISCARD_SECTORS = 36
export const CONFIG_MAX_DISCARD_SEG = 40
export const CONFIG_DISCARD_SECTOR_ALIGNMENT = 44
export const CONFIG_MAX_WRITE_ZEROES_SECTORS = 48
export const CONFIG_MAX_WRITE_ZEROES_SEG = 52
export const CONFIG_WRITE_ZEROES_MAY_UNMAP = 56
/** Bytes, up to the fields of features that are not offered. */
export const CONFIG_SIZE = 60
