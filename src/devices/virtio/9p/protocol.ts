/** 9P2000.L as the Linux client speaks it: message types (the protocol's documents by diod, and Linux's v9fs). */

export const RLERROR = 7
/** T-messages; the answer's type is one more. */
export const REQUESTS = {
  statfs: 8,
  lopen: 12,
  lcreate: 14,
  symlink: 16,
  mknod: 18,
  rename: 20,
  readlink: 22,
  getattr: 24,
  setattr: 26,
  xattrwalk: 30,
  xattrcreate: 32,
  readdir: 40,
  fsync: 50,
  lock: 52,
  getlock: 54,
  link: 70,
  mkdir: 72,
  renameat: 74,
  unlinkat: 76,
  version: 100,
  auth: 102,
  attach: 104,
  flush: 108,
  walk: 110,
  read: 116,
  write: 118,
  clunk: 120,
  remove: 122,
} as const
export type RequestName = keyof typeof REQUESTS

const NAMES = new Map<number, RequestName>()
for (const [name, type] of Object.entries(REQUESTS)) if (isRequest(name)) NAMES.set(type, name)

function isRequest(name: string): name is RequestName {
  return name in REQUESTS
}

export const requestOf = (type: number): RequestName | undefined => NAMES.get(type)

export const VERSION = '9P2000.L'
/** size[4] type[1] tag[2] */
export const HEADER_SIZE = 7
/** Of a message that carries data: Twrite's is the longest. */
export const DATA_OVERHEAD = 24
export const LEAST_MSIZE = 4096
export const MOST_MSIZE = 512 * 1024
/** Components of one walk. */
export const MOST_NAMES = 16

export const QID_DIRECTORY = 0x80
export const QID_LINK = 0x02
export const QID_FILE = 0x00

/** Flags of Tlopen and Tlcreate: those of Linux on x86. */
export const L_WRONLY = 0o1
export const L_RDWR = 0o2
export const L_ACCESS = 0o3
export const L_EXCL = 0o200
export const L_TRUNC = 0o1000
export const L_APPEND = 0o2000

export const AT_REMOVEDIR = 0x200
/** Of Rgetattr: everything that stat(2) tells. */
export const GETATTR_BASIC = 0x7ffn

export const SETATTR_MODE = 0x1
export const SETATTR_SIZE = 0x8
export const SETATTR_ATIME = 0x10
export const SETATTR_MTIME = 0x20
export const SETATTR_ATIME_SET = 0x80
export const SETATTR_MTIME_SET = 0x100

/** Of Rlock, and lock type of Rgetlock. */
export const LOCK_SUCCESS = 0
export const LOCK_UNLOCKED = 2
