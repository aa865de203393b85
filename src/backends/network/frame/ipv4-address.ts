/** IPv4 addresses as unsigned integers of 32 bits. */

export type Ipv4Address = number

export const IPV4_BROADCAST: Ipv4Address = 0xffff_ffff
export const IPV4_ANY: Ipv4Address = 0

export function formatIpv4(address: Ipv4Address): string {
  return `${address >>> 24}.${(address >>> 16) & 0xff}.${(address >>> 8) & 0xff}.${address & 0xff}`
}

/** `10.0.2.15`: four decimal numbers; undefined for anything else. */
export function parseIpv4Address(text: string): Ipv4Address | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined
  let address = 0
  for (const part of text.split('.')) {
    if (Number(part) > 255) return undefined
    address = address * 256 + Number(part)
  }
  return address
}

/** @param bits of the prefix, 1 to 32. */
export function inPrefix(address: Ipv4Address, prefix: Ipv4Address, bits: number): boolean {
  return (address ^ prefix) >>> (32 - bits) === 0
}
