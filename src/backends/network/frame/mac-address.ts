/** Ethernet addresses as integers of 48 bits: keys of tables, and compared by `===`. */

import { read16, read32, write16, write32 } from './big-endian.ts'

export type MacAddress = number

export const MAC_BROADCAST: MacAddress = 0xffff_ffff_ffff
const UPPER = 2 ** 32

export function readMac(bytes: Uint8Array, at: number): MacAddress {
  return read16(bytes, at) * UPPER + read32(bytes, at + 2)
}

export function writeMac(bytes: Uint8Array, at: number, mac: MacAddress): void {
  write16(bytes, at, Math.floor(mac / UPPER))
  write32(bytes, at + 2, mac % UPPER)
}

/** Group addresses, the broadcast address among them: bit 0 of the first byte (IEEE 802, 8.2). */
export function isGroup(mac: MacAddress): boolean {
  return (Math.floor(mac / 2 ** 40) & 1) === 1
}

export function formatMac(mac: MacAddress): string {
  const digits = mac.toString(16).padStart(12, '0')
  return digits.replace(/..(?!$)/g, '$&:')
}

/** `02:52:53:00:00:01`; undefined for anything else. */
export function parseMac(text: string): MacAddress | undefined {
  return /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text) ? Number.parseInt(text.replaceAll(':', ''), 16) : undefined
}
