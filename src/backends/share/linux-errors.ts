/** Error numbers as Linux guests know them (include/uapi/asm-generic/errno-base.h and errno.h), whatever the host has. */
export const LINUX_ERRORS = {
  ...{ EPERM: 1, ENOENT: 2, EIO: 5, EBADF: 9, EACCES: 13, EBUSY: 16, EEXIST: 17, EXDEV: 18, ENOTDIR: 20, EISDIR: 21 },
  ...{ EINVAL: 22, EMFILE: 24, ETXTBSY: 26, EFBIG: 27, ENOSPC: 28, EROFS: 30, EMLINK: 31, ENAMETOOLONG: 36 },
  ...{ ENOTEMPTY: 39, ELOOP: 40, ENODATA: 61, EPROTO: 71, EILSEQ: 84, EOPNOTSUPP: 95, EDQUOT: 122 },
} as const

export type LinuxError = keyof typeof LINUX_ERRORS
