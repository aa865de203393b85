/** Where PC firmware, and QEMU's, leaves the size of memory in CMOS RAM. */

const KIB = 1024
const MIB = 1024 * KIB

export interface CmosMemory {
  /** Bytes of RAM below 4 GiB. */
  readonly below4G: number
  /** Bytes of RAM from 4 GiB on. */
  readonly above4G: number
  readonly cpus: number
}

/** CMOS bytes by register number. */
export function cmosMemorySize(memory: CmosMemory): Map<number, number> {
  const base = 640
  const extended = Math.min(0xffff, Math.max(0, Math.floor((memory.below4G - MIB) / KIB)))
  const above16M = Math.min(0xffff, Math.max(0, Math.floor((memory.below4G - 16 * MIB) / (64 * KIB))))
  const above4G = Math.min(0xffffff, Math.floor(memory.above4G / (64 * KIB)))
  return new Map([
    // KiB of base memory, KiB above 1 MiB (twice), 64 KiB above 16 MiB, 64 KiB above 4 GiB, processors less one.
    [0x15, base & 0xff],
    [0x16, base >>> 8],
    [0x17, extended & 0xff],
    [0x18, extended >>> 8],
    [0x30, extended & 0xff],
    [0x31, extended >>> 8],
    [0x34, above16M & 0xff],
    [0x35, above16M >>> 8],
    [0x5b, above4G & 0xff],
    [0x5c, (above4G >>> 8) & 0xff],
    [0x5d, above4G >>> 16],
    [0x5f, (memory.cpus - 1) & 0xff],
  ])
}
